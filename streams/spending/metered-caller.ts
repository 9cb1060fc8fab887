import type { ModelReply } from '../../operators/model.ts'
import type { Budget } from './budget.ts'
import type { Call, Caller, CallResult } from './caller.ts'

/** What a token has in most texts, where the endpoint tells no usage. */
const charactersPerToken = 4

/** Counts what each call took, before its reply is handed on. Whether a call may be made is asked at the gate. */
export class MeteredCaller implements Caller {
  readonly #next: Caller
  readonly #budget: Pick<Budget, 'settle'>

  constructor(next: Caller, budget: Pick<Budget, 'settle'>) {
    this.#next = next
    this.#budget = budget
  }

  async call(call: Call): Promise<CallResult> {
    const result = await this.#next.call(call)
    await this.#budget.settle(tokensOf(call, result.reply), result.costUsd ?? 0)
    return result
  }
}

/** Tokens of a call as its endpoint counts them, or an estimate: a reply has no more than its limit allows. */
export function tokensOf(
  { model, messages, replyTokens = model.replyTokens }: Pick<Call, 'model' | 'messages' | 'replyTokens'>,
  { text, usage }: ModelReply,
): number {
  if (usage) return usage.promptTokens + usage.completionTokens
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0)
  const reply = Math.min(text.length / charactersPerToken, replyTokens)
  return Math.ceil(characters / charactersPerToken + reply)
}
