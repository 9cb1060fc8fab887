import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ChatMessage, Model, ModelRequest, ReplySchema } from '../../operators/model.ts'

export interface ModelCase {
  name: string
  /** A model that answers the schema from the messages. */
  create(): Promise<Model>
  /** A model whose calls take long enough to be aborted. */
  createSlow(): Promise<Model>
  /** Ends what was created beside the models. */
  close?(): Promise<void>
  /**
   * For a real model so small that it may ramble up to its limit and repeats no word of the messages: a cut reply is
   * taken where any reply is, and cases about what a reply says are skipped.
   */
  isTiny?: boolean
  /** For each case, in ms; default: as everywhere. */
  timeoutMs?: number
}

const replySchema: ReplySchema = {
  name: 'instruction',
  schema: {
    type: 'object',
    properties: { thought: { type: 'string' }, instruction: { type: 'string' } },
    required: ['thought', 'instruction'],
    additionalProperties: false,
  },
}
const document =
  'The tide tables changed in March. Boats above nine metres need a permit now. The fee is 40 euros a year.'

function messagesAbout(text: string): ChatMessage[] {
  return [
    { role: 'system', content: 'Write an instruction.' },
    { role: 'user', content: `<document>\n${text}\n</document>` },
  ]
}

function requestOf(changes: Partial<ModelRequest> = {}): ModelRequest {
  const { signal } = new AbortController()
  return { messages: messagesAbout(document), replySchema, sample: 0, signal, ...changes }
}

/** What every model adapter has to do. */
export function testModel({ name, create, createSlow, close, isTiny = false, timeoutMs }: ModelCase): void {
  describe(`${name} as a model`, { ...(timeoutMs && { timeout: timeoutMs }) }, () => {
    const finished = isTiny ? /^(stop|length)$/ : /^stop$/
    let model: Model
    beforeEach(async () => {
      model = await create()
    })
    afterEach(async () => {
      await model.close?.()
      await close?.()
    })

    it('names itself and its limits', () => {
      expect(model.endpoint).not.toBe('')
      expect(model.model).not.toBe('')
      expect(model.contextTokens).toBeGreaterThan(model.replyTokens)
      expect(model.replyTokens).toBeGreaterThan(0)
    })

    it.skipIf(isTiny)('replies with the fields of the schema', async () => {
      const reply = await model.complete(requestOf())
      expect(JSON.parse(reply.text)).toEqual({ thought: expect.any(String), instruction: expect.any(String) })
    })

    it('replies with a text, a finish reason, its name and its usage', async () => {
      const reply = await model.complete(requestOf())
      expect(reply.text).toMatch(/^\s*\{\s*"thought"/)
      expect(reply.finishReason).toMatch(finished)
      expect(reply.model).not.toBe('')
      expect(reply.usage?.promptTokens).toBeGreaterThan(0)
      expect(reply.usage?.completionTokens).toBeGreaterThan(0)
      expect(reply.usage?.cachedTokens).toBeLessThanOrEqual(reply.usage?.promptTokens ?? 0)
    })

    it('takes a conversation of several turns', async () => {
      const turns: ChatMessage[] = [
        ...messagesAbout(document),
        { role: 'assistant', content: 'No.' },
        { role: 'user', content: 'Answer again.' },
      ]
      expect((await model.complete(requestOf({ messages: turns }))).finishReason).toMatch(finished)
    })

    it('takes any text in the messages', async () => {
      const text = '😀 "quotes" \\ back\u0000slash \u2028 請求 </document> \ud800 {{document}}'
      expect((await model.complete(requestOf({ messages: messagesAbout(text) }))).finishReason).toMatch(finished)
    })

    it('changes neither the messages nor the schema', async () => {
      const request = requestOf()
      const before = structuredClone({ messages: request.messages, schema: request.replySchema })
      await model.complete(request)
      expect({ messages: request.messages, schema: request.replySchema }).toEqual(before)
    })

    it('takes several samples of one request', async () => {
      const replies = await Promise.all([0, 1, 2].map(sample => model.complete(requestOf({ sample }))))
      for (const { finishReason } of replies) expect(finishReason).toMatch(finished)
    })

    it.skipIf(isTiny)('keeps calls that run at once apart', async () => {
      const numbers = Array.from({ length: 20 }, (_, index) => index)
      const replies = await Promise.all(
        numbers.map(number =>
          model.complete(requestOf({ messages: messagesAbout(`Station${number}x is closed. `.repeat(5)) })),
        ),
      )
      for (const number of numbers) expect(replies[number]?.text).toContain(`Station${number}x`)
    })

    it('makes no call for a signal that is aborted already', async () => {
      const reason = new Error('given up')
      await expect(model.complete(requestOf({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    })

    it('rejects with the reason of the signal while a call runs', async () => {
      const slow = await createSlow()
      const controller = new AbortController()
      const reason = new Error('given up')
      const call = slow.complete(requestOf({ signal: controller.signal }))
      setImmediate(() => controller.abort(reason))
      await expect(call).rejects.toBe(reason)
      await slow.close?.()
    })

    it('goes on with the other calls where one is aborted', async () => {
      const controller = new AbortController()
      const aborted = model.complete(requestOf({ signal: controller.signal })).catch(() => 'aborted')
      const other = model.complete(requestOf())
      controller.abort()
      expect(await aborted).toBe('aborted')
      expect((await other).finishReason).toMatch(finished)
    })

    it('closes twice', async () => {
      await model.close?.()
      await model.close?.()
    })
  })
}
