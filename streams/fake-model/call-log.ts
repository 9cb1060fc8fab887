import { closeSync, openSync, writeSync } from 'node:fs'
import { messageOf, SituError } from '../../schemas/errors.ts'

/** A line of the log: written when a call arrives and when it ends. */
export interface LogEntry {
  event: 'arrived' | 'ended'
  /** Number of the call in this process, from 1. */
  call: number
  /** Milliseconds since 1970. */
  time: number
  fingerprint: string
  /** When it arrived: SHA-256 of the JSON of the messages, as in a record's provenance. */
  messages?: string
  /** When it arrived, where the log is to hold bodies: the request as it came. */
  body?: string
  /** Name of the reply schema; of the route where there is none. */
  step: string
  /**
   * How it ended: `ok`, the kind of the fault, `rate-limited`, `down`, `unauthorized`, `not-found`,
   * `context-exceeded`, `bad-request`, or
   * `client-gone` where the client left before it had everything.
   */
  outcome?: string
  status?: number | null
  promptTokens?: number
  completionTokens?: number
  latencyMs?: number
}

/** JSON lines, each in the file when the call to write it returns. */
export class CallLog {
  /** Whether it holds what was sent, too. */
  readonly holdsBodies: boolean
  readonly #file: number

  /** Goes on in a file that is there. @throws {SituError} OUTPUT_UNWRITABLE */
  constructor(path: string, { bodies = false }: { bodies?: boolean } = {}) {
    this.holdsBodies = bodies
    try {
      this.#file = openSync(path, 'a')
    } catch (cause) {
      throw new SituError('OUTPUT_UNWRITABLE', `log ${path}: ${messageOf(cause)}`, { cause })
    }
  }

  write(entry: LogEntry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}
