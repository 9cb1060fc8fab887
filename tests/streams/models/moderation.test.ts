import { afterEach, describe, expect, it } from 'vitest'
import { moderationAnswer } from '../../../operators/moderate/answers.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { createModels } from '../../../streams/models/index.ts'
import { ModerationModel } from '../../../streams/models/moderation.ts'
import { FakeProvider, type Script } from '../../fake-provider.ts'

const key = 'sk-very-secret-0123456789'
const model = 'omni-moderation-latest'

let provider: FakeProvider
afterEach(async () => provider.close())

async function moderator(script?: Script, parameters = {}): Promise<ModerationModel> {
  provider = await FakeProvider.start(script)
  const named = { endpoint: 'omni', model, baseUrl: provider.url, apiKey: key }
  return new ModerationModel({ ...named, parameters, timeoutMs: 5_000, contextTokens: 32_768 })
}

function requestOf(text: string, signal = new AbortController().signal) {
  const messages = [{ role: 'user' as const, content: text }]
  return { messages, replySchema: { name: 'moderation', schema: {} }, sample: 0, signal }
}

async function judge(body: unknown) {
  const own = await moderator(() => ({ kind: 'raw', body: typeof body === 'string' ? body : JSON.stringify(body) }))
  const reply = await own.complete(requestOf('Hello.'))
  return { reply, judged: moderationAnswer.parse(JSON.parse(reply.text)) }
}

describe('moderations of an endpoint', () => {
  it('are asked for with the text alone, and tell each category with its score', async () => {
    const own = await moderator()
    const reply = await own.complete(requestOf('Hello. [flag:violence] \ud800'))
    expect(provider.calls.map(({ path, request }) => [path, request])).toEqual([
      ['/v1/moderations', { model, input: 'Hello. [flag:violence] \ufffd' }],
    ])
    expect(provider.calls[0]?.headers.authorization).toBe(`Bearer ${key}`)
    const { flagged, categories } = moderationAnswer.parse(JSON.parse(reply.text))
    expect(flagged).toBe(true)
    expect(categories.filter(hazard => hazard.flagged)).toEqual([
      { category: 'violence', flagged: true, score: expect.closeTo(0.95, 1) },
    ])
    expect(categories.map(({ category }) => category)).toContain('self-harm')
    expect(reply).toMatchObject({ finishReason: 'stop', usage: null, model })
  })

  it('take the parameters of the model, but none that each call sets', async () => {
    const own = await moderator(undefined, { user: 'situ' })
    await own.complete(requestOf('Hello.'))
    expect(provider.calls[0]?.request).toMatchObject({ user: 'situ' })
    await provider.close()
    await expect(moderator(undefined, { input: 'x' })).rejects.toThrow('the parameter input is set by each call')
  })

  it('are read where an endpoint has names of its own, tells no whole, no scores or a usage', async () => {
    const { reply, judged } = await judge({
      id: 'x',
      results: [{ categories: { pii: true, illicit: null }, category_scores: { pii: 0.25 } }],
      usage: { prompt_tokens: 11, total_tokens: 11 },
    })
    expect(judged).toEqual({
      flagged: true,
      categories: [
        { category: 'pii', flagged: true, score: 0.25 },
        { category: 'illicit', flagged: false, score: null },
      ],
      reason: null,
    })
    expect(reply.usage).toEqual({ promptTokens: 11, cachedTokens: 0, completionTokens: 0 })
    await provider.close()
    const bare = await judge({ results: [{ flagged: true, categories: { pii: false } }] })
    expect(bare.judged).toMatchObject({ flagged: true, categories: [{ category: 'pii', flagged: false, score: null }] })
  })

  it.each([
    ['no JSON', '<html>', 'the answer is no JSON'],
    ['no result', { results: [] }, 'results'],
    ['a chat completion', { choices: [{ message: { content: 'safe' } }] }, 'results'],
    ['categories that are no truth values', { results: [{ categories: { hate: 0.9 } }] }, 'results.0.categories.hate'],
  ])('are refused where they are %s', async (_name, body, problem) => {
    await expect(judge(body)).rejects.toMatchObject({
      code: 'MODEL_RESPONSE_BROKEN',
      message: expect.stringContaining(problem),
      evidence: { kind: 'response' },
    })
  })

  it.each([
    ['MODEL_RATE_LIMITED', 429, 'Too many requests'],
    ['MODEL_CONTENT_FILTERED', 400, 'The text was filtered by our content policy'],
    ['MODEL_UNAUTHORIZED', 401, 'Missing scopes: api.moderations.write'],
    ['MODEL_UNAUTHORIZED', 403, `Project has no access to model ${model}`],
    ['MODEL_UNAUTHORIZED', 403, 'Missing scopes: api.moderations.write'],
    ['MODEL_NOT_FOUND', 404, `The model ${model} does not exist`],
    ['MODEL_NOT_FOUND', 400, `The model ${model} does not exist`],
    ['MODEL_UNAVAILABLE', 503, 'Overloaded'],
  ])('fail with %s for %d: %s', async (code, status, message) => {
    const own = await moderator(() => ({ kind: 'status', status, body: { error: { message } } }))
    await expect(own.complete(requestOf('Hello.'))).rejects.toMatchObject({ code })
  })

  it('end with the signal and with the model', async () => {
    const own = await moderator(() => ({ kind: 'hang' }))
    const reason = new Error('given up')
    await expect(own.complete(requestOf('Hello.', AbortSignal.abort(reason)))).rejects.toBe(reason)
    expect(provider.calls).toHaveLength(0)
    const controller = new AbortController()
    const call = own.complete(requestOf('Hello.', controller.signal))
    await provider.arrived(1)
    controller.abort(reason)
    await expect(call).rejects.toBe(reason)
    const other = own.complete(requestOf('Hello.'))
    await own.close()
    await expect(other).rejects.toMatchObject({ code: 'TRANSPORT_CLOSED' })
  })

  it('are what a model of that kind is made for', async () => {
    provider = await FakeProvider.start()
    const { config } = readConfig({}, {})
    const endpoint = { ...config.models, omni: { model, baseUrl: provider.url, kind: 'moderation' } }
    const models = { omni: { apiKeyVariable: 'K', parameters: {}, contextTokens: 9_000, ...endpoint.omni } } as never
    const made = createModels({ ...config, models })('moderate', 'omni')
    expect(made).toBeInstanceOf(ModerationModel)
    expect(made).toMatchObject({ kind: 'moderation', contextTokens: 9_000, replyTokens: 0 })
  })
})
