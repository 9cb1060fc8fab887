import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Parameters } from '../../../operators/model.ts'
import type { OpenAiOptions } from '../../../streams/models/openai.ts'
import { testModel } from '../../contracts/model.ts'
import type { Behaviour } from '../../fake-provider.ts'
import { failureAt, failureOf, key, modelAt, provide, requestOf } from '../../support/openai-model.ts'

testModel({
  name: 'OpenAiModel',
  create: async () => modelAt((await provide()).url),
  createSlow: async () => modelAt((await provide(() => ({ kind: 'hang' }))).url),
})

describe('a call', () => {
  it('sends model, messages, parameters and schema as they are', async () => {
    const provider = await provide()
    const request = requestOf()
    const parameters: Parameters = { temperature: 0.7, max_tokens: 300, top_k: 5 }
    await modelAt(provider.url, { parameters }).complete(request)
    const [call] = provider.calls
    expect(call?.path).toBe('/v1/chat/completions')
    expect(call?.headers.authorization).toBe(`Bearer ${key}`)
    const { name, schema } = request.replySchema
    expect(call?.request).toEqual({
      model: 'small',
      messages: request.messages,
      ...parameters,
      response_format: { type: 'json_schema', json_schema: { name, strict: true, schema } },
    })
  })

  it('sends the very bytes of the whole as JSON', async () => {
    const bodies: string[] = []
    const server = createHttpServer((request, response) => {
      request.setEncoding('utf8').on('data', text => bodies.push(text))
      request.on('end', () => response.writeHead(418).end('{}'))
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    server.listen(0, '127.0.0.1', resolve)
    await promise
    const model = modelAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`, {
      structuredOutput: 'none',
    })
    const messages = requestOf().messages
    await failureOf(model.complete(requestOf()))
    await failureOf(model.complete(requestOf({ messages: [...messages, { role: 'user', content: '"Grüße" 😀\n' }] })))
    expect(bodies[0]).toBe(JSON.stringify({ model: 'small', messages }))
    expect(JSON.parse(bodies[1] ?? '').messages[2]).toEqual({ role: 'user', content: '"Grüße" 😀\n' })
    server.close()
  })

  it('follows a redirection with the same request', async () => {
    const { url, calls } = await provide()
    const from = await provide(() => ({
      kind: 'status',
      status: 308,
      headers: { location: `${url}/chat/completions` },
    }))
    expect((await modelAt(from.url).complete(requestOf())).finishReason).toBe('stop')
    expect(calls[0]?.request.messages).toEqual(requestOf().messages)
  })

  it.each([
    ['500', '499', '120ms', { limit: 500, remaining: 499, resetMs: 120 }],
    ['30000', '29000', '6m0s', { limit: 30_000, remaining: 29_000, resetMs: 360_000 }],
    ['100', undefined, '7.5s', { limit: 100, remaining: 100, resetMs: 7_500 }],
    ['100', '12', '1h2m3s', { limit: 100, remaining: 12, resetMs: 3_723_000 }],
    ['100', '12', '30', { limit: 100, remaining: 12, resetMs: 30_000 }],
    ['100', '12', 'soon', { limit: 100, remaining: 12, resetMs: 0 }],
    ['many', '12', '1s', null],
  ])('tells the limits %s, %s, %s, with a refusal too', async (limit, remaining, reset, wanted) => {
    const extraHeaders = {
      'x-ratelimit-limit-tokens': limit,
      'x-ratelimit-reset-tokens': reset,
      ...(remaining && { 'x-ratelimit-remaining-tokens': remaining }),
    }
    const expected = wanted ? [{ name: 'tokens', ...wanted }] : undefined
    const { url } = await provide(() => ({ kind: 'ok', extraHeaders }))
    expect((await modelAt(url).complete(requestOf())).rateLimits).toEqual(expected)
    expect(await failureAt({ kind: 'status', status: 429, extraHeaders })).toMatchObject({ rateLimits: expected ?? [] })
  })

  it.each([
    [{ seed: 5 }, 0, 5],
    [{ seed: 5 }, 2, 7],
    [{}, 2, undefined],
  ])('with the parameters %o and sample %i sends the seed %s', async (parameters: Parameters, sample, seed) => {
    const provider = await provide()
    await modelAt(provider.url, { parameters }).complete(requestOf({ sample }))
    expect(provider.calls[0]?.request.seed).toBe(seed)
  })

  it('gives text, finish reason, model and usage with cached tokens', async () => {
    const usage = { prompt_tokens: 30, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 12 } }
    const { url } = await provide(() => ({ kind: 'ok', text: 'Hi.', usage, finishReason: 'length' }))
    expect(await modelAt(url).complete(requestOf())).toEqual({
      text: 'Hi.',
      finishReason: 'length',
      model: 'small-served',
      usage: { promptTokens: 30, cachedTokens: 12, completionTokens: 4 },
    })
  })

  it.each([
    [{ kind: 'ok', text: 'a', finishReason: 'content_filter' }, 'a', 'content_filter'],
    [{ kind: 'ok', text: null, refusal: 'No.' }, 'No.', 'content_filter'],
    [{ kind: 'ok', text: null, finishReason: 'length' }, '', 'length'],
    [{ kind: 'ok', text: 'a', finishReason: 'tool_calls' }, 'a', 'other'],
    [{ kind: 'ok', text: 'a', finishReason: null }, 'a', 'other'],
  ] as [Behaviour, string, string][])('reads %o', async (behaviour, text, finishReason) => {
    const { url } = await provide(() => behaviour)
    expect(await modelAt(url).complete(requestOf())).toMatchObject({ text, finishReason })
  })

  it.each([
    ['none', null],
    ['wrong types', { prompt_tokens: 'many', completion_tokens: 1 }],
    ['a negative count', { prompt_tokens: -1, completion_tokens: 1 }],
  ])('takes a good reply with %s as usage', async (_name, usage) => {
    const { url } = await provide(() => ({ kind: 'ok', text: 'a', usage }))
    expect((await modelAt(url).complete(requestOf())).usage).toBeNull()
  })

  it('takes JSON whose content type says otherwise', async () => {
    const body = JSON.stringify({ choices: [{ message: { content: 'a' }, finish_reason: 'stop' }] })
    const { url } = await provide(() => ({ kind: 'raw', body, contentType: 'text/plain' }))
    expect(await modelAt(url).complete(requestOf())).toEqual({
      text: 'a',
      finishReason: 'stop',
      usage: null,
      model: 'small',
    })
  })

  it('sends as many calls at once as it is given', async () => {
    const all = Promise.withResolvers<void>()
    const provider = await provide(async (_request, call) => {
      if (call > 1 && provider.calls.length === 13) all.resolve()
      if (call > 1) await all.promise
      return { kind: 'ok' }
    })
    const model = modelAt(provider.url)
    await model.complete(requestOf())
    await Promise.all(Array.from({ length: 12 }, () => model.complete(requestOf())))
    expect(provider.maxOpen).toBe(12)
  })

  it('is never made twice by the client', async () => {
    const provider = await provide(() => ({ kind: 'status', status: 500 }))
    await failureOf(modelAt(provider.url).complete(requestOf()))
    expect(provider.calls).toHaveLength(1)
  })

  it('ends when the model is closed', async () => {
    const provider = await provide(() => ({ kind: 'hang' }))
    const model = modelAt(provider.url)
    const call = failureOf(model.complete(requestOf()))
    await provider.arrived(1)
    await model.close()
    expect((await call).code).toBe('TRANSPORT_CLOSED')
  })
})

describe('options', () => {
  it.each([
    ['an address without http', { baseUrl: 'localhost:8000' }, 'the base URL is no http(s) address'],
    ['an address with a password', { baseUrl: 'http://me:word@localhost/v1' }, 'the base URL holds a password'],
    ['a key with a line end', { apiKey: `${key}\n` }, 'the key is empty or holds a character'],
    ['an empty key', { apiKey: '' }, 'the key is empty or holds a character'],
    ['streaming', { parameters: { stream: true } }, 'the parameter stream is set by each call'],
  ] as [string, Partial<OpenAiOptions>, string][])('refuse %s', (_name, changes, problem) => {
    const create = () => modelAt('http://127.0.0.1:8000/v1', changes)
    expect(create).toThrow(problem)
    expect(create).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }))
    expect(create).not.toThrow(key)
  })
})
