import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { z } from 'zod'
import type { Clock } from '../../../streams/clock.ts'
import { CallLog, type LogEntry } from '../../../streams/fake-model/call-log.ts'
import { checkScript } from '../../../streams/fake-model/script.ts'
import { ScriptedModel } from '../../../streams/fake-model/scripted-model.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

export const document =
  'The tide tables changed in March. Boats above nine metres need a permit now. The fee is 40 euros a year.'
export const instruction = z.object({ thought: z.string(), instruction: z.string() })
const format = {
  type: 'json_schema',
  json_schema: { name: 'instruction', strict: true, schema: { ...z.toJSONSchema(instruction) } },
}

/** Time that stands still until a test moves it; sleepers wake when it has passed. */
class StandingClock implements Clock {
  time = 1_000_000
  #sleepers: { until: number; resolve: () => void }[] = []
  now = () => this.time
  sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#sleepers.push({ until: this.time + ms, resolve })
    signal?.addEventListener('abort', () => resolve())
    return promise
  }
  /** How many wait for their time. */
  get sleeping(): number {
    return this.#sleepers.length
  }
  move(ms: number): void {
    this.time += ms
    const awake = this.#sleepers.filter(({ until }) => until <= this.time)
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.time)
    for (const { resolve } of awake) resolve()
  }
}

export let clock: StandingClock
export let model: ScriptedModel
let folder: string
let log: CallLog

beforeEach(() => {
  clock = new StandingClock()
  folder = temporaryFolder()
  log = new CallLog(join(folder, 'log'))
})
afterEach(async () => {
  await model.close()
  log.close()
  removeFolder(folder)
})

export async function serve(script: unknown, seed = 0): Promise<void> {
  model = await ScriptedModel.start({ script: checkScript(script, 'test'), seed, log, clock })
}

interface Sent {
  text?: string
  key?: string
  [parameter: string]: unknown
}

export function call({ text = document, key, ...parameters }: Sent = {}, signal?: AbortSignal): Promise<Response> {
  const body = { model: 'm', messages: [{ role: 'user', content: text }], response_format: format, ...parameters }
  return fetch(`${model.url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: key ? { authorization: `Bearer ${key}` } : {},
    ...(signal ? { signal } : {}),
  })
}

interface Completion {
  choices: [{ message: { content: string; refusal: string | null }; finish_reason: string }]
  usage: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details: { cached_tokens: number } }
}

export async function complete(sent?: Sent): Promise<Completion> {
  return (await (await call(sent)).json()) as Completion
}

export const textOf = async (sent?: Sent) => (await complete(sent)).choices[0].message.content
export const statuses = async (count: number, sent?: Sent) => {
  const found: number[] = []
  for (let made = 0; made < count; made++) found.push((await call(sent)).status)
  return found
}
export const entries = (): LogEntry[] =>
  readFileSync(join(folder, 'log'), 'utf8')
    .trim()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as LogEntry)
