import { hash } from '../../operators/hash.ts'
import { SituError } from '../../schemas/errors.ts'

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
 * endpoint has answered other calls meanwhile. So an outage costs no record, and a request that an endpoint can't bear
 * ends as a dead letter.
 */
export class CallRetries {
  readonly #policy: RetryPolicy
  readonly #record: string
  #tries = 0
  #counted = 0

  /** @param record - Id by which the waits of different records are spread out. */
  constructor(policy: RetryPolicy, record: string) {
    this.#policy = policy
    this.#record = record
  }

  /** @returns Milliseconds to wait before the next try; null where there is none. */
  next(error: unknown): number | null {
    if (!(error instanceof SituError) || !error.retryable || error.stops === 'run') return null
    this.#tries++
    const isExcused = error.code === 'MODEL_RATE_LIMITED' || error.endpointAnswers === false
    if (!isExcused && ++this.#counted >= this.#policy.maxAttempts) return null
    const { backoffMs, maxBackoffMs } = this.#policy
    const backoff = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(30, this.#tries - 1))
    return error.retryAfterMs ?? backoff * jitter(this.#record, this.#tries)
  }
}

/** Between 0.5 and 1, by record and try: waits spread out, and a rerun waits alike. */
function jitter(record: string, attempt: number): number {
  return 0.5 + Number.parseInt(hash(record, String(attempt)).slice(0, 8), 16) / 0x1_0000_0000 / 2
}
