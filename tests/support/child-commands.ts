import { SituError } from '../../schemas/errors.ts'

/** The other side of `Child`: prints one value a line. */
export function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

export function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof SituError) return { code: error.code, message: error.message }
  return { code: 'unexpected', message: String(error) }
}

/** Runs the command that the process was called with, and prints the error that it ends with. */
export async function runCommand(commands: Record<string, (words: readonly string[]) => Promise<void>>): Promise<void> {
  const [name = '', ...words] = process.argv.slice(2)
  const user = Number(process.env.SITU_TEST_USER ?? 0)
  if (user > 0) {
    process.setgroups?.([])
    process.setgid?.(user)
    process.setuid?.(user)
  }
  try {
    const command = commands[name]
    if (!command) throw new Error(`there is no command ${name}`)
    await command(words)
  } catch (error) {
    print(describeError(error))
  }
}
