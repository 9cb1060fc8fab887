import type { PaidReply, Spending } from '../store.ts'

export const nothing: Readonly<Spending> = { calls: 0, tokens: 0, usd: 0 }

export function add(left: Spending, right: Spending): Spending {
  return { calls: left.calls + right.calls, tokens: left.tokens + right.tokens, usd: left.usd + right.usd }
}

/** What a reply took when it was paid; unknown counts as nothing. */
export function spendingOf({ reply, costUsd }: PaidReply): Spending {
  const { promptTokens = 0, completionTokens = 0 } = reply.usage ?? {}
  return { calls: 1, tokens: promptTokens + completionTokens, usd: costUsd ?? 0 }
}

/** Day in UTC, such as `2026-11-26`. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}

/** A worker that has given no sign for longer counts as dead. */
export const aliveMs = 10_000
/** Sums of a run are kept this long after its last spending: a worker that was thought dead may go on. */
export const keepRunsMs = 7 * 86_400_000
