import { describe, expect, it } from 'vitest'
import type { ModelReply } from '../../../operators/model.ts'
import { tokensOf } from '../../../streams/spending/metered-caller.ts'

const messages = [{ role: 'user' as const, content: 'x'.repeat(400) }]

function callOf(replyTokens: number) {
  return { model: { replyTokens } as never, messages }
}

function replyOf(characters: number, usage: ModelReply['usage'] = null): ModelReply {
  return { text: 'x'.repeat(characters), finishReason: 'stop', usage, model: 'm' }
}

describe('the tokens of a call', () => {
  it('are those that the endpoint tells', () => {
    const usage = { promptTokens: 90, cachedTokens: 80, completionTokens: 7 }
    expect(tokensOf(callOf(500), replyOf(4_000, usage))).toBe(97)
  })

  it('are estimated where it tells none, those of the reply within its limit', () => {
    expect(tokensOf(callOf(500), replyOf(1_000))).toBe(350)
    expect(tokensOf(callOf(200), replyOf(1_000))).toBe(300)
    expect(tokensOf({ ...callOf(200), replyTokens: 225 }, replyOf(1_000))).toBe(325)
    // A moderation model writes nothing.
    expect(tokensOf(callOf(0), replyOf(1_000))).toBe(100)
  })
})
