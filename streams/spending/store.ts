import type { ModelReply } from '../../operators/model.ts'

/** A reply that was paid for. */
export interface PaidReply {
  reply: ModelReply
  costUsd: number | null
  latencyMs: number
  endpoint: string
  /** Stage that asked. */
  operator: string
  /** When it came; milliseconds since 1970. */
  time: number
}

/** What `situ cache` shows. Bytes are those at rest. */
export interface CacheSummary {
  replies: number
  bytes: number
  /** Kept as evidence, never served. */
  rejected: number
  oldest: number | null
  /** Times that a reply was served instead of a call, and what those calls would have taken. */
  served: { times: number; tokens: number; usd: number }
}

/** Paid replies by the hash of what was asked. */
export interface ReplyStore {
  /** The reply; null where there is none, or one that was rejected. */
  getReply(key: string): Promise<PaidReply | null>
  /** Resolves when the reply is safe: it outlives the death of this process. */
  putReply(key: string, reply: PaidReply): Promise<void>
  /** Counts a reply as served. Quick; what was counted last may be lost with the process. */
  countServed(reply: PaidReply): void
  /** Keeps them as evidence; they are never served again. */
  rejectReplies(keys: readonly string[]): Promise<void>
  cacheSummary(): Promise<CacheSummary>
  /** Deletes replies that came before this time. @returns How many. */
  clearReplies(before: number): Promise<number>
}

/** A limit per minute, shared by every process that uses the store. */
export interface Rate {
  name: 'requests' | 'tokens'
  perMinute: number
}

/** Turns at an endpoint, for all workers together. */
export interface RateStore {
  /**
   * Books a turn, in the order of asking over all processes.
   *
   * @param amounts - What the turn takes of each rate: 1 request, so many tokens by estimate.
   * @returns Milliseconds from now until the turn may be used.
   */
  bookTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<number>
  /** Corrects what a turn was booked with, once it is known: more (positive) or less (negative). */
  settleTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<void>
}

export interface Spending {
  calls: number
  /** Prompt and completion. */
  tokens: number
  usd: number
}

/** What has been spent by the workers of one run together, and by all on a day (UTC). */
export interface Ledger {
  /**
   * Enters a worker into the run that is going on; where no worker shows a sign of life, a new run begins.
   *
   * @returns Name of the run.
   */
  joinRun(worker: string): Promise<string>
  /** The worker has ended; the last one ends the run. */
  leaveRun(worker: string): Promise<void>
  /** Adds to run and day, and is the worker's sign of life. @returns The sums after it. */
  spend(worker: string, run: string, spending: Spending): Promise<{ run: Spending; day: Spending }>
}

/** What the workers of one log share about money; see stores/. */
export interface SpendingStore extends ReplyStore, RateStore, Ledger {
  readonly name: 'memory' | 'sqlite' | 'redis'
  close(): Promise<void>
}
