import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Seen } from './provider.ts'

/** The endpoint, in a process of its own. */
export class Provider implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly url: string

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.url = `http://127.0.0.1:${port}/v1`
  }

  static async start(latencyMs: number): Promise<Provider> {
    const child = fork(join(import.meta.dirname, 'provider.ts'), [String(latencyMs)])
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new Provider(child, port)
  }

  /** @param first - Told when the first call comes. */
  onFirst(first: () => void): void {
    this.#child.removeAllListeners('message')
    this.#child.on('message', message => message === 'first' && first())
  }

  /** What came since the last time. */
  async seen(): Promise<Seen> {
    this.#child.removeAllListeners('message')
    const answer = once(this.#child, 'message') as Promise<[Seen]>
    this.#child.send('seen')
    return (await answer)[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

export interface Measured {
  calls: number
  /** From the start of the process to its end. */
  seconds: number
  /** From the start of the process to its first call. */
  secondsToFirst: number
  /** From the first call to the last reply. */
  secondsOfCalls: number
  cpuSeconds: number
  cpuSecondsToFirst: number
  peakMegabytes: number
  maxOpen: number
  bytesPerCall: number
}

/** Runs one client to its end. @throws {Error} It ended with another code than 0. */
export async function measure(provider: Provider, words: readonly string[], usagePath: string): Promise<Measured> {
  const start = Date.now()
  const env = { ...process.env, OPENAI_BASE_URL: provider.url, BENCH_USAGE: usagePath, SITU_MODEL: 'bench' }
  const preload = `--import=${join(import.meta.dirname, 'usage.ts')}`
  const child = spawn(process.execPath, [preload, ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000)
  })
  let cpuSecondsToFirst = Number.NaN
  provider.onFirst(() => {
    cpuSecondsToFirst = cpuOf(child.pid)
  })
  const [code] = await once(child, 'close')
  const seconds = (Date.now() - start) / 1000
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}\n${said}`)
  const { cpuSeconds, megabytes } = JSON.parse(readFileSync(usagePath, 'utf8'))
  const { calls, firstCall, lastReply, requestBytes, maxOpen } = await provider.seen()
  return {
    calls,
    seconds,
    secondsToFirst: (firstCall - start) / 1000,
    secondsOfCalls: (lastReply - firstCall) / 1000,
    cpuSeconds,
    cpuSecondsToFirst,
    peakMegabytes: megabytes,
    maxOpen,
    bytesPerCall: requestBytes / calls,
  }
}

/** User + system, in seconds, of a process that runs. */
function cpuOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
