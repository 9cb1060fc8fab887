import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogEntry } from '../../streams/fake-model/call-log.ts'
import { Situ } from './situ.ts'

/** A call as the log of the fake model tells it; times are milliseconds since 1970. */
export interface LoggedCall {
  arrived: number
  /** Null while it is open. */
  ended: number | null
  outcome: string
  tokens: number
  promptTokens: number
  step: string
  fingerprint: string
  /** Hash of the messages, as in a record's provenance. */
  messages: string
  /** The request as it came; null where the log holds no bodies. */
  body: string | null
}

/** `situ fake-model` in a process of its own, on a free port. */
export class FakeModelProcess {
  readonly url: string
  readonly #process: Situ
  readonly #log: string

  private constructor(process: Situ, url: string, log: string) {
    this.#process = process
    this.url = url
    this.#log = log
  }

  /**
   * @param script - As `situ fake-model` reads it.
   * @param name - Of its files in the folder.
   * @param more - Further words of the command.
   */
  static async start(
    folder: string,
    script: object,
    name = 'fake-model',
    port = 0,
    more: readonly string[] = [],
  ): Promise<FakeModelProcess> {
    const [file, log] = [join(folder, `${name}.json`), join(folder, `${name}.jsonl`)]
    writeFileSync(file, JSON.stringify(script))
    const words = ['--json', '--script', file, '--log', log, '--port', String(port), ...more]
    const process = new Situ(['fake-model', ...words])
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    process.child.stdout?.on('data', () => {
      if (process.stdout.includes('\n')) resolve(JSON.parse(process.stdout).url)
    })
    process.done.then(({ stderr }) => reject(new Error(`the fake model ended: ${stderr}`)))
    return new FakeModelProcess(process, await promise, log)
  }

  /** Every call so far, in the order of arrival. */
  get calls(): LoggedCall[] {
    return readCalls(readFileSync(this.#log, 'utf8'))
  }

  /** Takes another script from now on. */
  async replace(script: object): Promise<void> {
    const response = await fetch(new URL('/script', this.url), { method: 'POST', body: JSON.stringify(script) })
    if (!response.ok) throw new Error(await response.text())
  }

  async stop(): Promise<void> {
    this.#process.child.kill('SIGKILL')
    await this.#process.done
  }
}

function readCalls(log: string): LoggedCall[] {
  const calls = new Map<number, LoggedCall>()
  // The last line may be half written.
  for (const line of log.split('\n').slice(0, -1)) {
    const entry: LogEntry = JSON.parse(line)
    const { event, call, time, outcome, promptTokens = 0, completionTokens = 0, step, fingerprint } = entry
    if (event === 'arrived') {
      const { messages = '', body = null } = entry
      const open = { ended: null, outcome: 'open', tokens: 0, promptTokens: 0 }
      calls.set(call, { arrived: time, ...open, step, fingerprint, messages, body })
      continue
    }
    const known = calls.get(call)
    const tokens = promptTokens + completionTokens
    if (known) Object.assign(known, { ended: time, outcome: outcome ?? 'open', tokens, promptTokens })
  }
  return [...calls.values()]
}
