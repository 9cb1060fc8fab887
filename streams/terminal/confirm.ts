import { createInterface } from 'node:readline/promises'
import { SituError } from '../../schemas/errors.ts'

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true
}

/**
 * Asks in the terminal; anything but y and yes is no.
 *
 * @param command - What asks, for the error.
 * @throws {SituError} USAGE where there is no terminal: the command has a `--yes`.
 */
export async function confirm(command: string, question: string, signal: AbortSignal): Promise<boolean> {
  if (!canAsk()) throw new SituError('USAGE', `${command} asks first: without a terminal it needs --yes`)
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch {
    return false
  } finally {
    terminal.close()
  }
}
