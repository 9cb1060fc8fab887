import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Situ } from '../../support/situ.ts'

/** What the endpoint saw of one client. Times are those of the system's clock, in ms. */
export interface Seen {
  calls: number
  firstCall: number
  lastReply: number
  maxOpen: number
  /** Replies a second between the first and the last tenth of them. */
  steadyRate: number
  promptTokens: number
}

interface Entry {
  event: 'arrived' | 'ended'
  time: number
  promptTokens?: number
}

/** `situ fake-model`, in a process of its own. */
export class Provider implements AsyncDisposable {
  readonly url: string
  readonly #process: Situ
  readonly #log: string
  #read = 0

  private constructor(process: Situ, url: string, log: string) {
    this.#process = process
    this.url = url
    this.#log = log
  }

  /** @param folder - Of its script and its log. */
  static async start(folder: string, latencyMs: number): Promise<Provider> {
    const script = join(folder, `latency-${latencyMs}.json`)
    const log = join(folder, `latency-${latencyMs}.jsonl`)
    writeFileSync(script, JSON.stringify({ phases: [{ latencyMs }] }))
    const process = new Situ(['fake-model', '--script', script, '--log', log])
    for (;;) {
      const [url] = /http:\/\/\S+/.exec(process.stdout) ?? []
      if (url) return new Provider(process, url, log)
      if (process.child.exitCode !== null) throw new Error(process.stderr)
      await sleep(20)
    }
  }

  /** Resolves soon after the next call has come. */
  async nextCall(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && statSync(this.#log).size <= this.#read) await sleep(5)
  }

  /** What came since the last time. */
  seen(): Seen {
    const text = readFileSync(this.#log).subarray(this.#read)
    this.#read += text.length
    const entries = text
      .toString()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Entry)
    const ended = entries.filter(({ event }) => event === 'ended')
    const from = ended[Math.floor(ended.length / 10)]?.time ?? 0
    const to = ended[Math.floor((ended.length * 9) / 10)]?.time ?? 0
    let open = 0
    let maxOpen = 0
    for (const { event } of entries) {
      open += event === 'arrived' ? 1 : -1
      maxOpen = Math.max(maxOpen, open)
    }
    return {
      calls: ended.length,
      firstCall: entries[0]?.time ?? 0,
      lastReply: ended.at(-1)?.time ?? 0,
      maxOpen,
      steadyRate: (Math.floor((ended.length * 9) / 10) - Math.floor(ended.length / 10)) / ((to - from) / 1000),
      promptTokens: ended.reduce((sum, { promptTokens }) => sum + (promptTokens ?? 0), 0),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.child.kill('SIGTERM')
    await this.#process.done
  }
}
