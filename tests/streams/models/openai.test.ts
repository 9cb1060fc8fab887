import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ModelRequest, Parameters } from '../../../operators/model.ts'
import { type ErrorCode, SituError } from '../../../schemas/errors.ts'
import { OpenAiModel, type OpenAiOptions } from '../../../streams/models/openai.ts'
import { testModel } from '../../contracts/model.ts'
import { type Behaviour, FakeProvider, type Outcome, type Script } from '../../fake-provider.ts'
import { freePorts } from '../../services/ports.ts'

const key = 'sk-very-secret-0123456789'
const open: FakeProvider[] = []

afterEach(async () => {
  for (const provider of open.splice(0)) await provider.close()
})

async function provide(script?: Script): Promise<FakeProvider> {
  const provider = await FakeProvider.start(script)
  open.push(provider)
  return provider
}

function modelAt(baseUrl: string, changes: Partial<OpenAiOptions> = {}): OpenAiModel {
  return new OpenAiModel({
    endpoint: 'fake',
    baseUrl,
    apiKey: key,
    model: 'small',
    parameters: {},
    contextTokens: 8_192,
    replyTokens: 512,
    structuredOutput: 'json_schema',
    timeoutMs: 10_000,
    ...changes,
  })
}

function requestOf(changes: Partial<ModelRequest> = {}): ModelRequest {
  return {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello there.' },
    ],
    replySchema: { name: 'instruction', schema: { type: 'object', properties: { instruction: { type: 'string' } } } },
    sample: 0,
    signal: new AbortController().signal,
    ...changes,
  }
}

async function failureOf(call: Promise<unknown>): Promise<SituError> {
  const error: unknown = await call.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof SituError) return error
  throw error
}

async function failureAt(behaviour: Outcome, changes: Partial<OpenAiOptions> = {}): Promise<SituError> {
  const { url } = await provide(() => behaviour)
  return failureOf(modelAt(url, changes).complete(requestOf()))
}

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

describe('an error of the endpoint', () => {
  const refused = (status: number, message: string, code?: string): Behaviour => ({
    kind: 'status',
    status,
    body: { error: { message, code } },
  })
  const contextMessage = "This model's maximum context length is 4096 tokens, however you requested 5000 tokens."

  it.each([
    ['MODEL_UNAUTHORIZED', refused(401, 'Incorrect API key provided')],
    ['MODEL_UNAUTHORIZED', refused(403, 'Country not supported')],
    ['MODEL_NOT_FOUND', refused(404, 'The model does not exist')],
    ['MODEL_NOT_FOUND', refused(400, 'small is not a valid model ID')],
    ['MODEL_RATE_LIMITED', refused(429, 'Slow down')],
    ['MODEL_UNAVAILABLE', refused(500, 'Oops')],
    ['MODEL_UNAVAILABLE', refused(503, 'Overloaded')],
    ['MODEL_UNAVAILABLE', { kind: 'status', status: 502, body: '<html>Bad gateway</html>' }],
    ['MODEL_UNAVAILABLE', refused(408, 'Timed out')],
    ['MODEL_UNAVAILABLE', refused(409, 'Locked')],
    ['MODEL_CONTEXT_EXCEEDED', refused(400, contextMessage)],
    ['MODEL_CONTEXT_EXCEEDED', refused(400, 'Too long', 'context_length_exceeded')],
    ['MODEL_CONTEXT_EXCEEDED', refused(400, 'the request exceeds the available context size', 'exceed_context_size')],
    ['MODEL_CONTEXT_EXCEEDED', { kind: 'status', status: 422, body: { detail: 'Input is too long: maximum context' } }],
    ['MODEL_CONTENT_FILTERED', refused(400, 'The response was filtered', 'content_filter')],
    ['MODEL_CONTENT_FILTERED', refused(403, 'Your input was blocked by moderation')],
    ['MODEL_REQUEST_REFUSED', refused(400, 'temperature must be below 2')],
    ['MODEL_REQUEST_REFUSED', { kind: 'status', status: 400, body: '' }],
    ['MODEL_REQUEST_REFUSED', refused(402, 'Insufficient balance')],
    ['MODEL_REQUEST_REFUSED', { kind: 'status', status: 422, body: { detail: [{ loc: ['body', 'top_k'] }] } }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'status', status: 304, body: '' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": [{"mess' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '<html>Welcome</html>', contentType: 'text/html' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: 'null' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": []}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"error": {"message": "provider down"}}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": [{"message": {"content": 42}}]}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": [{"message": {"content": ["a"]}}]}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": [{"message": "hello"}]}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'raw', body: '{"choices": {"0": {}}}' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'ok', text: 'half of', finishReason: 'error' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'cut' }],
    ['MODEL_RESPONSE_BROKEN', { kind: 'reset' }],
  ] as [ErrorCode, Behaviour][])('is %s after %o', async (code, behaviour) => {
    expect((await failureAt(behaviour)).code).toBe(code)
  })

  it('is a timeout where nothing comes in time', async () => {
    const error = await failureAt({ kind: 'hang' }, { timeoutMs: 50 })
    expect(error.code).toBe('MODEL_TIMEOUT')
    expect(error.message).toBe('model fake (small): no answer within 50 ms')
  })

  it('has its own time alone, however little Node itself would wait', async () => {
    const { url } = await provide(({ model }) =>
      model === 'small' ? { kind: 'ok', latencyMs: 2500 } : { kind: 'raw', body: '{}', latencyMs: 2500 },
    )
    const before = getGlobalDispatcher()
    setGlobalDispatcher(new Agent({ headersTimeout: 100 }))
    try {
      const body = JSON.stringify({ model: 'other', messages: requestOf().messages })
      const node = fetch(`${url}/chat/completions`, { method: 'POST', body })
      const refused = expect(node).rejects.toMatchObject({ cause: { code: 'UND_ERR_HEADERS_TIMEOUT' } })
      expect((await modelAt(url).complete(requestOf())).finishReason).toBe('stop')
      await refused
    } finally {
      setGlobalDispatcher(before)
    }
  })

  it('is a timeout where the answer stops half way', async () => {
    expect((await failureAt({ kind: 'hang-in-body' }, { timeoutMs: 100 })).code).toBe('MODEL_TIMEOUT')
  })

  it.each([
    ['a port that nothing listens at', async () => `http://127.0.0.1:${(await freePorts(1))[0]}/v1`],
    ['a host that does not exist', async () => 'http://no-such-host.invalid/v1'],
    ['a port that no client may use', async () => 'http://127.0.0.1:1/v1'],
    ['no encryption where it is asked for', async () => (await provide()).url.replace('http:', 'https:')],
  ])('is MODEL_UNREACHABLE for %s', async (_name, url) => {
    const error = await failureOf(modelAt(await url()).complete(requestOf()))
    expect(error.code).toBe('MODEL_UNREACHABLE')
    expect(error.message).toMatch(/^model fake \(small\): no connection to https?:\/\/[^ ]+\/v1 \(.+\)$/)
  })

  it('keeps the answer as evidence', async () => {
    expect((await failureAt({ kind: 'raw', body: '{"choices": []}' })).evidence?.content).toBe('{"choices": []}')
    expect((await failureAt({ kind: 'cut' })).evidence?.content).toMatch(/^\{"id":"chatcmpl-fake"/)
    const refusal = await failureAt({ kind: 'status', status: 400, body: { detail: 'no such parameter' } })
    expect(refusal.evidence).toEqual({ kind: 'response', content: '{"detail":"no such parameter"}' })
    expect(refusal.message).toBe('model fake (small): status 400 no such parameter')
  })

  it.each([
    ['1', {}, 1_000],
    ['0.25', {}, 250],
    ['0', {}, 0],
    ['2', { 'retry-after-ms': '150' }, 150],
    ['Wed, 21 Oct 2015 07:28:30 GMT', { date: 'Wed, 21 Oct 2015 07:28:00 GMT' }, 30_000],
    ['Wed, 21 Oct 2015 07:28:00 GMT', { date: 'Wed, 21 Oct 2015 07:28:30 GMT' }, 0],
    ['soon', {}, undefined],
    ['-1', {}, undefined],
    [undefined, {}, undefined],
  ])(
    'tells from the header %s and %o how long to wait',
    async (retryAfter, headers: Record<string, string>, wanted) => {
      for (const status of [429, 503]) {
        const header = retryAfter === undefined ? {} : { retryAfter }
        const error = await failureAt({ kind: 'status', status, headers, ...header })
        expect(error.retryAfterMs).toBe(wanted)
      }
    },
  )

  it('never holds the key', async () => {
    const echo = { error: { message: `Incorrect key ${key}`, headers: { authorization: `Bearer ${key}` } } }
    const log = [vi.spyOn(console, 'log'), vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')]
    const errors = [
      await failureAt({ kind: 'status', status: 401, body: echo }),
      await failureAt({ kind: 'status', status: 500, body: `${key}${key}` }),
      await failureAt({ kind: 'raw', body: `not JSON ${key}` }),
      await failureAt({ kind: 'raw', body: JSON.stringify({ choices: [], key }) }),
      await failureAt({ kind: 'reset' }),
      await failureAt({ kind: 'hang' }, { timeoutMs: 20 }),
    ]
    for (const error of errors) {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(key)
      expect(error.stack).not.toContain(key)
    }
    expect(errors[1]?.evidence?.content).toBe('[key][key]')
    for (const spy of log) expect(spy).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  })
})

describe('structured output', () => {
  const refusal = (type: string): Behaviour => ({
    kind: 'status',
    status: type === 'json_schema' ? 400 : 422,
    body: { error: { message: `'response_format' of type '${type}' is not supported with this model` } },
  })
  /** Takes only these formats. */
  const accepting =
    (...types: string[]): Script =>
    request => {
      const type = request.response_format?.type ?? 'none'
      return types.includes(type) ? { kind: 'ok', text: type } : refusal(type)
    }
  const formatsOf = ({ calls }: FakeProvider) => calls.map(({ request }) => request.response_format?.type ?? 'none')

  it.each([
    ['json_schema', ['json_schema']],
    ['json_object', ['json_schema', 'json_object']],
    ['none', ['json_schema', 'json_object', 'none']],
  ])('is asked for as %s where the endpoint takes no more', async (accepted, asked) => {
    const provider = await provide(accepting(accepted))
    const model = modelAt(provider.url)
    expect((await model.complete(requestOf())).text).toBe(accepted)
    expect(formatsOf(provider)).toEqual(asked)
    await model.complete(requestOf())
    await modelAt(provider.url).complete(requestOf())
    expect(formatsOf(provider)).toEqual([...asked, accepted, accepted])
  })

  it.each([
    ['json_object', 'json_object'],
    ['none', 'none'],
  ] as const)('begins with %s where the options say so', async (structuredOutput, asked) => {
    const provider = await provide()
    await modelAt(provider.url, { structuredOutput }).complete(requestOf())
    expect(formatsOf(provider)).toEqual([asked])
  })

  it('is found out by one of several calls that begin at once', async () => {
    const provider = await provide(accepting('none'))
    const model = modelAt(provider.url)
    await Promise.all(Array.from({ length: 10 }, () => model.complete(requestOf())))
    expect(formatsOf(provider).filter(type => type !== 'none')).toEqual(['json_schema', 'json_object'])
  })

  it('lets the other calls go on where the first one hangs', async () => {
    const provider = await provide((_request, call) => (call === 1 ? { kind: 'hang' } : { kind: 'ok' }))
    const model = modelAt(provider.url)
    const controller = new AbortController()
    const first = model.complete(requestOf({ signal: controller.signal })).catch(() => 'aborted')
    await model.complete(requestOf())
    controller.abort()
    expect(await first).toBe('aborted')
  })

  it('is not given up for a refusal of something else', async () => {
    const provider = await provide((_request, call) =>
      call === 1 ? { kind: 'status', status: 400, body: { error: { message: 'bad temperature' } } } : { kind: 'ok' },
    )
    const model = modelAt(provider.url)
    await failureOf(model.complete(requestOf()))
    await model.complete(requestOf())
    expect(formatsOf(provider)).toEqual(['json_schema', 'json_schema'])
  })

  it('is not given up for all where one schema is refused', async () => {
    const provider = await provide(({ response_format: format }) =>
      format?.json_schema?.name === 'odd' ? refusal('json_schema') : { kind: 'ok' },
    )
    const model = modelAt(provider.url)
    const odd = { replySchema: { name: 'odd', schema: { type: 'object' } } }
    await model.complete(requestOf())
    await model.complete(requestOf(odd))
    await model.complete(requestOf(odd))
    await model.complete(requestOf())
    expect(formatsOf(provider)).toEqual(['json_schema', 'json_schema', 'json_object', 'json_object', 'json_schema'])
  })

  it('is kept where the refusal of every format fails the call', async () => {
    const provider = await provide(accepting())
    const error = await failureOf(modelAt(provider.url).complete(requestOf()))
    expect(error.code).toBe('MODEL_REQUEST_REFUSED')
    expect(formatsOf(provider)).toEqual(['json_schema', 'json_object', 'none'])
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
