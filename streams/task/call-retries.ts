import { hash } from '../../operators/hash.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'
import { CallRefused } from '../spending/caller.ts'
import type { RecordLimit } from './record-limit.ts'

export interface RetryPolicy {
  /** Tries of one record whose error may pass, the first among them. */
  maxAttempts: number
  /** Wait before the second try; doubled for each further one, at most `maxBackoffMs`. */
  backoffMs: number
  maxBackoffMs: number
  /** Longest time that one record may take; waits for an endpoint are not counted. */
  recordTimeoutMs: number
}

/**
 * Whether and when a failed call of one record is made again.
 *
 * A provider's fault is not the record's: a rate limit never counts against it, and any other failure only where the
 * endpoint has answered other calls since the record's last try. So an outage costs no record, and a request that an endpoint can't bear
 * ends as a dead letter.
 */
export class CallRetries {
  readonly #policy: RetryPolicy
  readonly #record: string
  /** When the last try failed; the time of the first call before that. */
  #since: number
  #tries = 0
  #counted = 0

  /**
   * @param record - Id by which the waits of different records are spread out.
   * @param begun - When the record's first call began.
   */
  constructor(policy: RetryPolicy, record: string, begun: number) {
    this.#policy = policy
    this.#record = record
    this.#since = begun
  }

  /** @returns Milliseconds to wait before the next try; null where there is none. */
  next(error: unknown, now: number): number | null {
    if (!(error instanceof SituError) || !error.retryable) return null
    this.#tries++
    const { endpointAnsweredAt: answeredAt } = error
    const isExcused = answeredAt !== undefined && (answeredAt ?? 0) <= this.#since
    this.#since = now
    const counts = error.code !== 'MODEL_RATE_LIMITED' && !isExcused
    if (counts && ++this.#counted >= this.#policy.maxAttempts) return null
    const { backoffMs, maxBackoffMs } = this.#policy
    const longest = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(30, this.#tries - 1))
    const backoff = longest * jitter(this.#record, this.#tries)
    // The endpoint is not called before what it asks for is over; meanwhile another one may take the record.
    return Math.min(backoff, error.retryAfterMs ?? backoff)
  }
}

export interface RetryPorts {
  retry: RetryPolicy
  clock: Clock
  /** Aborted where no new call may begin: nobody waits for one any more. */
  draining: AbortSignal
}

/**
 * Makes a call of a record until it succeeds or is not tried again. The record's time stands still between the tries.
 *
 * @throws {CallRefused} A drain has begun.
 */
export async function withRetries<T>(
  make: () => Promise<T>,
  retries: CallRetries,
  { clock, draining }: Omit<RetryPorts, 'retry'>,
  limit: Pick<RecordLimit, 'signal' | 'hold'>,
): Promise<T> {
  for (;;) {
    if (draining.aborted) throw new CallRefused()
    try {
      return await make()
    } catch (error) {
      const waitMs = limit.signal.aborted ? null : retries.next(error, clock.now())
      if (waitMs === null) throw error
      limit.hold(true)
      try {
        await clock.sleep(waitMs, AbortSignal.any([limit.signal, draining]))
      } finally {
        limit.hold(false)
      }
    }
  }
}

/** Between 0.5 and 1, by record and try: waits spread out, and a rerun waits alike. */
function jitter(record: string, attempt: number): number {
  return 0.5 + Number.parseInt(hash(record, String(attempt)).slice(0, 8), 16) / 0x1_0000_0000 / 2
}
