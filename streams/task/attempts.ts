import type { Attempt, Provenance, Spent, Usage } from '../../schemas/records.ts'

/** The tries of one output: calls made, failed ones among them, and replies served. */
export class Attempts {
  readonly #all: Attempt[] = []

  get all(): readonly Attempt[] {
    return this.#all
  }

  /** Those that got no answer. */
  get failures(): number {
    return this.#all.filter(({ finishReason }) => finishReason === null).length
  }

  add(attempt: Attempt): void {
    this.#all.push(attempt)
  }

  /** The last reply is taken for none. */
  reject(code: string, rejectedReply: string): void {
    const last = this.#all.at(-1)
    if (!last) return
    last.code = code
    last.rejectedReply = rejectedReply
  }

  /** The record ended with an error, which is the last one's unless that has one of its own. */
  end(code: string): void {
    const last = this.#all.at(-1)
    if (last) last.code ??= code
  }

  /** What the calls took; replies from the cache were paid before. */
  get spent(): Omit<Spent, 'model' | 'prompt' | 'inputs'> {
    const made = this.#all.filter(({ fromCache }) => !fromCache)
    return {
      calls: made.length,
      fromCache: this.#all.length - made.length,
      ...sumUsage(made),
      costUsd: made.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0),
      unpriced: made.filter(({ finishReason, costUsd }) => finishReason !== null && costUsd === null).length,
    }
  }

  /** What provenance tells of them, what was paid before included. */
  get told(): Pick<Provenance, 'attempts' | 'usage' | 'costUsd' | 'latencyMs'> {
    return {
      attempts: this.#all,
      usage: sumUsage(this.#all),
      costUsd: sumCost(this.#all),
      latencyMs: this.#all.reduce((sum, attempt) => sum + attempt.latencyMs, 0),
    }
  }
}

export function newAttempt(changed: string | null, replyTokens: number | null, contextTokens: number | null): Attempt {
  return {
    code: null,
    finishReason: null,
    usage: null,
    latencyMs: 0,
    changed,
    rejectedReply: null,
    replyTokens,
    contextTokens,
    fromCache: false,
    costUsd: null,
    endpoint: null,
  }
}

function sumUsage(attempts: readonly Attempt[]): Usage {
  const sum: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 }
  for (const { usage } of attempts) {
    sum.promptTokens += usage?.promptTokens ?? 0
    sum.cachedTokens += usage?.cachedTokens ?? 0
    sum.completionTokens += usage?.completionTokens ?? 0
  }
  return sum
}

/** A failed call costs nothing that anybody tells of. */
function sumCost(attempts: readonly Attempt[]): number | null {
  const answered = attempts.filter(({ finishReason }) => finishReason !== null)
  if (answered.some(({ costUsd }) => costUsd === null)) return null
  return answered.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0)
}
