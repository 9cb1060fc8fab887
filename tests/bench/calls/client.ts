import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Provider } from './provider.ts'

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
  /** Calls a second between the first and the last tenth of them. */
  steadyRate: number
  promptTokensPerCall: number
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
  const ended = new AbortController()
  const first = provider.nextCall(ended.signal).then(() => {
    if (!ended.signal.aborted) cpuSecondsToFirst = cpuOf(child.pid)
  })
  const [code] = await once(child, 'close')
  ended.abort()
  await first
  const seconds = (Date.now() - start) / 1000
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}\n${said}`)
  const { cpuSeconds, megabytes } = JSON.parse(readFileSync(usagePath, 'utf8'))
  const { calls, firstCall, lastReply, maxOpen, steadyRate, promptTokens } = provider.seen()
  return {
    calls,
    seconds,
    secondsToFirst: (firstCall - start) / 1000,
    secondsOfCalls: (lastReply - firstCall) / 1000,
    cpuSeconds,
    cpuSecondsToFirst,
    peakMegabytes: megabytes,
    maxOpen,
    steadyRate,
    promptTokensPerCall: promptTokens / calls,
  }
}

/** User + system, in seconds, of a process that runs. */
function cpuOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
