import { describe, expect, it } from 'vitest'
import type { Behaviour, FakeProvider, Script } from '../../../fake-provider.ts'
import { failureOf, modelAt, provide, requestOf } from '../../../support/openai-model.ts'

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
