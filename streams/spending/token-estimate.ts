import type { ChatMessage, Usage } from '../../operators/model.ts'

/** Weight of the newest call in the means. */
const weight = 0.1
/** English text has about four bytes a token, others fewer: too many are settled, too few are over the limit. */
const tokensPerByte = 0.3
/** What the roles and borders of a message take. */
const bytesPerMessage = 16

interface Means {
  tokensPerByte: number
  replyTokens: number
}

/** Guesses the tokens of a call before it is made, by the calls of its stage that came before. */
export class TokenEstimate {
  readonly #means = new Map<string, Means>()
  readonly #replyTokens: number

  /** @param replyTokens - What the first replies are taken for. */
  constructor(replyTokens: number) {
    this.#replyTokens = replyTokens
  }

  /** Tokens of prompt and reply together, by the mean. */
  guess(operator: string, messages: readonly ChatMessage[]): number {
    const means = this.#means.get(operator) ?? { tokensPerByte, replyTokens: this.#replyTokens }
    return Math.ceil(bytesOf(messages) * means.tokensPerByte + means.replyTokens)
  }

  learn(operator: string, messages: readonly ChatMessage[], { promptTokens, completionTokens }: Usage): void {
    const ratio = promptTokens / bytesOf(messages)
    const means = this.#means.get(operator)
    this.#means.set(operator, {
      tokensPerByte: means ? mix(means.tokensPerByte, ratio) : ratio,
      replyTokens: means ? mix(means.replyTokens, completionTokens) : completionTokens,
    })
  }
}

function mix(mean: number, value: number): number {
  return mean + weight * (value - mean)
}

function bytesOf(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, { content }) => sum + Buffer.byteLength(content) + bytesPerMessage, 0)
}
