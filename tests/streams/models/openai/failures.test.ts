import { inspect } from 'node:util'
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { describe, expect, it, vi } from 'vitest'
import type { ErrorCode } from '../../../../schemas/errors.ts'
import type { Behaviour } from '../../../fake-provider.ts'
import { freePorts } from '../../../services/ports.ts'
import { failureAt, failureOf, key, modelAt, provide, requestOf } from '../../../support/openai-model.ts'

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
