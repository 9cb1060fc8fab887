import { execFile } from 'node:child_process'

/** Runs a command to its end; what it printed on both streams. @throws {Error} It could not start, failed or took too long. */
export function runCommand(
  file: string,
  words: readonly string[],
  { timeoutMs = 30_000, cwd }: { timeoutMs?: number; cwd?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', ...(cwd !== undefined && { cwd }) } as const
    execFile(file, words, options, (error, stdout, stderr) => {
      const printed = `${stdout}${stderr}`
      if (!error) return resolve(printed)
      const what = error.killed ? `took longer than ${timeoutMs} ms` : (printed.trim() || error.message).slice(-2_000)
      reject(new Error(`${file} ${words[0] ?? ''}: ${what}`, { cause: error }))
    })
  })
}
