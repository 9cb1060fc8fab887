import { Agent, get } from 'node:http'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { attributionReply } from '../../../operators/attribute.ts'
import { conceptReply } from '../../../operators/conceive.ts'
import { instructionReply } from '../../../operators/instruct.ts'
import { judgementReply } from '../../../operators/moderate/answers.ts'
import { hazards } from '../../../operators/moderate/hazards.ts'
import { readReply } from '../../../operators/reply.ts'
import { scoresReply } from '../../../operators/score.ts'
import { situationReply } from '../../../operators/situate.ts'
import { until } from '../../support/until.ts'
import {
  call,
  clock,
  complete,
  document,
  entries,
  instruction,
  model,
  serve,
  statuses,
  textOf,
} from './served-model.ts'

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
    const agent = new Agent()
    const answered = Promise.withResolvers<number>()
    get(`${root()}/calls`, { agent }, response => answered.resolve(response.statusCode ?? 0))
    expect(await answered.promise).toBe(200)
    agent.destroy()
    clock.move(60_000)
    expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true)
    expect(model.counts.maxOpen).toBe(1_000)
  })
})
