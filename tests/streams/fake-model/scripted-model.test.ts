import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, createServer, get } from 'node:http'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { attributionReply } from '../../../operators/attribute.ts'
import { conceptReply } from '../../../operators/conceive.ts'
import { instructionReply } from '../../../operators/instruct.ts'
import { judgementReply } from '../../../operators/moderate/answers.ts'
import { hazards } from '../../../operators/moderate/hazards.ts'
import { readReply } from '../../../operators/reply.ts'
import { scoresReply } from '../../../operators/score.ts'
import { situationReply } from '../../../operators/situate.ts'
import type { Clock } from '../../../streams/clock.ts'
import { CallLog, type LogEntry } from '../../../streams/fake-model/call-log.ts'
import { checkScript } from '../../../streams/fake-model/script.ts'
import { ScriptedModel } from '../../../streams/fake-model/scripted-model.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const document =
  'The tide tables changed in March. Boats above nine metres need a permit now. The fee is 40 euros a year.'
const instruction = z.object({ thought: z.string(), instruction: z.string() })
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

let clock: StandingClock
let model: ScriptedModel
let folder: string
let log: CallLog
let agent: Agent

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

async function serve(script: unknown, seed = 0): Promise<void> {
  model = await ScriptedModel.start({ script: checkScript(script, 'test'), seed, log, clock })
}

interface Sent {
  text?: string
  key?: string
  [parameter: string]: unknown
}

function call({ text = document, key, ...parameters }: Sent = {}, signal?: AbortSignal): Promise<Response> {
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

async function complete(sent?: Sent): Promise<Completion> {
  return (await (await call(sent)).json()) as Completion
}

const textOf = async (sent?: Sent) => (await complete(sent)).choices[0].message.content
const statuses = async (count: number, sent?: Sent) => {
  const found: number[] = []
  for (let made = 0; made < count; made++) found.push((await call(sent)).status)
  return found
}
const entries = (): LogEntry[] =>
  readFileSync(join(folder, 'log'), 'utf8')
    .trim()
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as LogEntry)

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(resolve => setImmediate(resolve))
}

describe('a reply', () => {
  it('fits the schema, with usage', async () => {
    await serve({ cachedTokens: 5 })
    const { choices, usage } = await complete()
    expect(readReply(choices[0].message.content, 'stop', instruction).instruction).not.toBe('')
    expect(usage.prompt_tokens).toBe(Math.ceil(document.length / 4))
    expect(usage.completion_tokens).toBe(Math.ceil(choices[0].message.content.length / 4))
    expect(usage.prompt_tokens_details.cached_tokens).toBe(5)
  })

  it('is counted by o200k where the script says so', async () => {
    await serve({ tokenizer: 'o200k' })
    expect((await complete()).usage.prompt_tokens).toBe(25)
  })

  it.each([
    [{ type: 'json_object' }, true],
    [undefined, true],
    [{ type: 'text' }, false],
  ])('to the format %o is an object: %s', async (response_format, isObject) => {
    await serve({})
    expect((await textOf({ response_format })).startsWith('{')).toBe(isObject)
  })

  it('holds, where no schema was sent, the fields of every operator', async () => {
    await serve({})
    const text = await textOf({ response_format: { type: 'json_object' } })
    const judgement = judgementReply(hazards)
    for (const schema of [situationReply, instructionReply, scoresReply, judgement, conceptReply, attributionReply]) {
      expect(() => readReply(text, 'stop', schema as z.ZodType<object>)).not.toThrow()
    }
  })

  it('is the same each time, unless the temperature is above 0; a seed says which', async () => {
    await serve({})
    expect(await textOf()).toBe(await textOf())
    const warm = { temperature: 0.8 }
    const five = [await textOf(warm), await textOf(warm), await textOf(warm), await textOf(warm), await textOf(warm)]
    expect(new Set(five).size).toBe(5)
    expect(await textOf({ ...warm, seed: 3 })).toBe(await textOf({ ...warm, seed: 3 }))
    expect(await textOf({ ...warm, seed: 3 })).not.toBe(await textOf({ ...warm, seed: 4 }))
  })

  it('is cut at the limit of the call', async () => {
    await serve({})
    const { choices, usage } = await complete({ max_tokens: 10 })
    expect([choices[0].finish_reason, usage.completion_tokens]).toEqual(['length', 10])
    expect(choices[0].message.content.length).toBeLessThan(60)
  })

  it('has about as many tokens as wanted, fits the schema, and is the same each time', async () => {
    await serve({ phases: [{ replyTokens: 900 }] })
    const { choices, usage } = await complete()
    expect(Math.abs(usage.completion_tokens - 900)).toBeLessThan(45)
    expect(readReply(choices[0].message.content, 'stop', instruction).thought.length).toBeGreaterThan(100)
    expect(await textOf()).toBe(choices[0].message.content)
  })

  it('has lengths that spread as wanted', async () => {
    await serve({ phases: [{ replyTokens: { median: 1_000, p99: 3_000 } }] })
    const counts: number[] = []
    for (let number = 0; number < 101; number++) {
      counts.push((await complete({ text: `${number} ${document}` })).usage.completion_tokens)
    }
    const median = counts.sort((left, right) => left - right)[50] ?? 0
    expect(median).toBeGreaterThan(800)
    expect(median).toBeLessThan(1_200)
    expect(new Set(counts).size).toBeGreaterThan(50)
  })
})

describe('the other routes', () => {
  it('give vectors in which like texts are near, through the client of OpenAI too', async () => {
    await serve({})
    const client = new OpenAI({ apiKey: 'none', baseURL: model.url, maxRetries: 0 })
    const input = [document, `${document} Now.`, 'Quarterly bond ladders yield little when rates fall.']
    const { data, usage } = await client.embeddings.create({ model: 'e', input })
    const [first = [], near = [], far = []] = data.map(({ embedding }) => embedding)
    const cosine = (left: number[], right: number[]) =>
      left.reduce((sum, value, at) => sum + value * (right[at] ?? 0), 0)
    expect(first).toHaveLength(256)
    expect(cosine(first, first)).toBeCloseTo(1)
    expect(cosine(first, near)).toBeGreaterThan(0.9)
    expect(Math.abs(cosine(first, far))).toBeLessThan(0.5)
    expect(usage.prompt_tokens).toBeGreaterThan(0)
    const again = await client.embeddings.create({
      model: 'e',
      input: document,
      dimensions: 8,
      encoding_format: 'float',
    })
    expect(again.data[0]?.embedding).toHaveLength(8)
  })

  it('flag texts that ask for it', async () => {
    await serve({})
    const client = new OpenAI({ apiKey: 'none', baseURL: model.url, maxRetries: 0 })
    const { results } = await client.moderations.create({ input: ['Hello.', 'Hello. [flag:violence]'] })
    expect(results.map(({ flagged }) => flagged)).toEqual([false, true])
    expect(results[1]?.categories.violence).toBe(true)
    expect(results[0]?.category_scores.violence).toBeLessThan(0.1)
  })

  it('list the models', async () => {
    await serve({ models: ['one', 'two'] })
    const list = (await (await fetch(`${model.url}/models`)).json()) as { data: { id: string }[] }
    expect(list.data.map(({ id }) => id)).toEqual(['one', 'two'])
  })
})

describe('a call is refused', () => {
  it('with another key or another model', async () => {
    await serve({ apiKey: 'right', models: ['m'] })
    expect((await call()).status).toBe(401)
    expect((await call({ key: 'wrong' })).status).toBe(401)
    expect((await call({ key: 'right' })).status).toBe(200)
    expect((await call({ key: 'right', model: 'n' })).status).toBe(404)
    expect((await fetch(`${model.url}/models`)).status).toBe(401)
    await until(() => model.counts.open === 0)
    expect(model.counts.byOutcome).toEqual({ unauthorized: 2, ok: 1, 'not-found': 1 })
  })

  it('where it is longer than the context', async () => {
    await serve({ contextTokens: 20 })
    const refused = await call()
    expect(refused.status).toBe(400)
    expect(JSON.stringify(await refused.json())).toContain('context_length_exceeded')
    expect((await call({ text: 'Short.' })).status).toBe(200)
  })

  it('where it is malformed or streams', async () => {
    await serve({})
    expect((await call({ messages: 'none' })).status).toBe(400)
    expect((await call({ stream: true })).status).toBe(400)
    expect((await fetch(`${model.url}/chat/completions`, { method: 'POST', body: 'no JSON' })).status).toBe(400)
    expect((await fetch(`${model.url}/nothing`)).status).toBe(404)
  })
})

describe('limits', () => {
  it('of requests a second leave 429 with the time to wait', async () => {
    await serve({ phases: [{ requestsPerSecond: 2, retryAfter: 'exact' }] })
    expect(await statuses(3)).toEqual([200, 200, 429])
    expect((await call()).headers.get('retry-after')).toBe('1')
    clock.move(500)
    expect(await statuses(2)).toEqual([200, 429])
  })

  it('of a minute slide, and tell in headers what is left', async () => {
    await serve({ phases: [{ requestsPerMinute: 2, tokensPerMinute: 100_000, rateLimitHeaders: true, retryAfter: 3 }] })
    const first = await call()
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1')
    expect(first.headers.get('x-ratelimit-reset-requests')).toBe('1m0s')
    expect(Number(first.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(100_000)
    clock.move(45_000)
    expect(await statuses(2)).toEqual([200, 429])
    const refused = await call()
    expect(refused.headers.get('retry-after')).toBe('3')
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    clock.move(15_000)
    expect(await statuses(2)).toEqual([200, 429])
  })

  it('of tokens book what the call uses', async () => {
    await serve({})
    const { usage } = await complete()
    const each = usage.prompt_tokens + usage.completion_tokens
    model.replace(checkScript({ phases: [{ tokensPerMinute: each * 2 }] }, 'test'))
    expect(await statuses(3)).toEqual([200, 200, 429])
    expect((await call({ text: 'Short.', response_format: { type: 'text' } })).status).toBe(429)
    clock.move(60_000)
    expect(await statuses(3)).toEqual([200, 200, 429])
  })

  it('of open calls hold while those are open', async () => {
    await serve({ phases: [{ maxConcurrent: 2, latencyMs: 100 }] })
    const open = [call(), call({ text: 'Another.' })]
    await until(() => clock.sleeping === 2)
    expect((await call({ text: 'One too many.' })).status).toBe(429)
    clock.move(100)
    expect((await Promise.all(open)).map(({ status }) => status)).toEqual([200, 200])
    await until(() => model.counts.open === 0)
    expect(model.counts).toMatchObject({ calls: 3, maxOpen: 3, byStatus: { 200: 2, 429: 1 } })
  })

  it('change with the phases', async () => {
    await serve({ phases: [{ forSeconds: 10, requestsPerSecond: 1 }, {}] })
    expect(await statuses(2)).toEqual([200, 429])
    clock.move(10_000)
    expect(await statuses(3)).toEqual([200, 200, 200])
  })
})

describe('an outage', () => {
  it('by 503 ends with its phase', async () => {
    await serve({ phases: [{ forSeconds: 1 }, { forSeconds: 60, down: '503', retryAfter: { date: 5 } }, {}] })
    expect((await call()).status).toBe(200)
    clock.move(1_000)
    const down = await call()
    expect(down.status).toBe(503)
    const waitMs = Date.parse(down.headers.get('retry-after') ?? '') - clock.now()
    expect(waitMs).toBeGreaterThanOrEqual(5_000)
    expect(waitMs).toBeLessThan(6_000)
    clock.move(60_000)
    expect((await call()).status).toBe(200)
  })

  it('by refused connections cuts open calls, then the port is there again', async () => {
    await serve({ phases: [{ forSeconds: 1, latencyMs: 30_000 }, { forSeconds: 60, down: 'refuse' }, {}] })
    const cut = call()
    await until(() => entries().length === 1)
    await until(() => clock.sleeping === 2)
    clock.move(1_000)
    await expect(cut).rejects.toThrow('fetch failed')
    await until(() => entries().length === 2)
    expect(entries()[1]).toMatchObject({ event: 'ended', outcome: 'down', status: null })
    await expect(call()).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await until(() => clock.sleeping === 2)
    clock.move(60_000)
    let answered: Response | null = null
    while (!answered) answered = await call().catch(() => null)
    expect(answered.status).toBe(200)
  })

  it('by refused connections outlasts another program on its port', async () => {
    await serve({ from: 'start', phases: [{ forSeconds: 5, down: 'refuse' }, {}] })
    const port = Number(new URL(model.url).port)
    const other = createServer()
    const listening = once(other, 'listening')
    other.listen(port, '127.0.0.1')
    await listening
    await until(() => clock.sleeping === 1)
    clock.move(5_000)
    await until(() => clock.sleeping === 1)
    await new Promise(resolve => other.close(resolve))
    clock.move(1_000)
    let answered: Response | null = null
    while (!answered) answered = await call().catch(() => null)
    expect(answered.status).toBe(200)
  })
})

describe('faults', () => {
  const always = (fault: Record<string, unknown>) => serve({ phases: [{ faults: [{ share: 1, ...fault }] }] })

  it('of status have their body and when to come back', async () => {
    await always({ kind: 'status', status: 429, retryAfter: 7 })
    const response = await call()
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
  })

  it.each(['reset', 'cut'])('%s ends the connection', async kind => {
    await always({ kind })
    await expect(call().then(response => response.text())).rejects.toThrow()
    await until(() => model.counts.open === 0)
    expect(entries()[1]).toMatchObject({ outcome: kind, status: kind === 'cut' ? 200 : null })
  })

  it.each(['hang', 'hang-in-body'])('%s until the client leaves', async kind => {
    await always({ kind })
    const leaving = new AbortController()
    const ended = call({}, leaving.signal).then(response => response.text())
    await until(() => model.counts.open === 1 && (kind === 'hang' || entries().length === 1))
    leaving.abort()
    await expect(ended).rejects.toThrow()
    await until(() => model.counts.open === 0)
    expect(entries().at(-1)).toMatchObject({ event: 'ended', outcome: kind })
  })

  it.each(['prose', 'cut', 'list', 'unquoted', 'torn'])('broken-json as %s can’t be read as a reply', async shape => {
    await always({ kind: 'broken-json', shape })
    const text = await textOf()
    expect(() => readReply(text, 'stop', instruction)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^MODEL_REPLY/) }),
    )
  })

  it('wrong-types, refusal, content-filter, length, empty and html-200 are what they are called', async () => {
    await always({ kind: 'wrong-types' })
    const wrong = await textOf()
    expect(() => readReply(wrong, 'stop', instruction)).toThrow(
      expect.objectContaining({ code: 'MODEL_REPLY_INVALID' }),
    )
    const change = (kind: string) => model.replace(checkScript({ phases: [{ faults: [{ kind, share: 1 }] }] }, 'test'))
    change('refusal')
    expect((await complete()).choices[0].message).toMatchObject({ content: null, refusal: expect.any(String) })
    change('content-filter')
    expect((await complete()).choices[0].finish_reason).toBe('content_filter')
    change('length')
    expect((await complete()).choices[0].finish_reason).toBe('length')
    change('empty')
    expect(await textOf()).toBe('')
    change('html-200')
    expect(await (await call()).text()).toContain('<html')
    await until(() => model.counts.open === 0)
    expect(Object.keys(model.counts.byOutcome)).toEqual([
      'wrong-types',
      'refusal',
      'content-filter',
      'length',
      'empty',
      'html-200',
    ])
  })

  it('come to the same calls each time, and by another seed to others', async () => {
    const script = { phases: [{ faults: [{ kind: 'status', status: 500, share: 0.3 }] }] }
    const texts = Array.from({ length: 60 }, (_, number) => `${number} ${document}`)
    const run = async (seed: number, order: string[]) => {
      await serve(script, seed)
      const failed: string[] = []
      for (const text of order) if ((await call({ text })).status === 500) failed.push(text)
      const again = await statuses(20, { text: `0 ${document}` })
      await model.close()
      return { failed: failed.sort(), again }
    }
    const first = await run(1, texts)
    expect(first.failed.length).toBeGreaterThan(8)
    expect(first.failed.length).toBeLessThan(30)
    expect(await run(1, texts.toReversed())).toEqual(first)
    expect((await run(2, texts)).failed).not.toEqual(first.failed)
    // A repeat has a new chance.
    expect(new Set(first.again).size).toBe(2)
  })
})

describe('latency', () => {
  it('is waited for before the answer', async () => {
    await serve({ phases: [{ latencyMs: 250 }] })
    const answer = call()
    await until(() => clock.sleeping === 1)
    expect(model.counts.byStatus).toEqual({})
    clock.move(250)
    await answer
    await until(() => model.counts.open === 0)
    expect(entries()[1]?.latencyMs).toBe(250)
  })
})

describe('the log', () => {
  it('has a line when a call arrives and one when it ends', async () => {
    await serve({})
    const { usage } = await complete()
    await call({ temperature: 1 })
    await call()
    await until(() => model.counts.open === 0)
    const [arrived, ended, ...rest] = entries()
    expect(arrived).toEqual({
      event: 'arrived',
      call: 1,
      time: clock.now(),
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      step: 'instruction',
      messages: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const { messages: _, ...own } = arrived ?? {}
    expect(ended).toEqual({
      ...own,
      event: 'ended',
      outcome: 'ok',
      status: 200,
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      latencyMs: 0,
    })
    const prints = [ended, ...rest.filter(({ event }) => event === 'ended')].map(entry => entry?.fingerprint)
    expect(prints[2]).toBe(prints[0])
    expect(prints[1]).not.toBe(prints[0])
  })

  it('tells a client that left before its answer', async () => {
    await serve({ phases: [{ latencyMs: 100 }] })
    const leaving = new AbortController()
    const left = call({}, leaving.signal)
    await until(() => clock.sleeping === 1)
    leaving.abort()
    await expect(left).rejects.toThrow()
    await until(() => model.counts.open === 0)
    clock.move(100)
    expect(entries()[1]).toMatchObject({ event: 'ended', outcome: 'client-gone', status: null })
  })
})

describe('control', () => {
  const root = () => model.url.replace(/\/v1$/, '')

  it('shows and replaces the script, and refuses a wrong one', async () => {
    await serve({ apiKey: 'right' })
    expect(await (await fetch(`${root()}/script`)).json()).toMatchObject({ apiKey: 'right' })
    const post = (body: string) => fetch(`${root()}/script`, { method: 'POST', body })
    const refused = await post('phases: [{ latency: 5 }]')
    expect(refused.status).toBe(400)
    expect(await refused.text()).toContain('phases.0')
    expect((await call()).status).toBe(401)
    expect((await post('phases: [{ requestsPerSecond: 1 }]')).status).toBe(200)
    expect(await statuses(2)).toEqual([200, 429])
  })

  it('counts the calls', async () => {
    await serve({ phases: [{ requestsPerSecond: 1 }] })
    await statuses(2)
    await until(() => model.counts.open === 0)
    expect(await (await fetch(`${root()}/calls`)).json()).toMatchObject({
      calls: 2,
      byStatus: { 200: 1, 429: 1 },
      byOutcome: { ok: 1, 'rate-limited': 1 },
      open: 0,
      maxOpen: 1,
    })
  })

  it('answers while 1,000 calls are open', async () => {
    await serve({ phases: [{ latencyMs: 60_000 }] })
    const calls = Array.from({ length: 1_000 }, (_, number) => call({ text: `Number ${number}.` }))
    await until(() => clock.sleeping === 1_000)
    agent = new Agent()
    const answered = Promise.withResolvers<number>()
    get(`${root()}/calls`, { agent }, response => answered.resolve(response.statusCode ?? 0))
    expect(await answered.promise).toBe(200)
    agent.destroy()
    clock.move(60_000)
    expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true)
    expect(model.counts.maxOpen).toBe(1_000)
  })
})
