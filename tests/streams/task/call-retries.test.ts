import { describe, expect, it } from 'vitest'
import { SituError } from '../../../schemas/errors.ts'
import { CallRetries } from '../../../streams/task/call-retries.ts'

const policy = { maxAttempts: 3, backoffMs: 500, maxBackoffMs: 4_000, recordTimeoutMs: 1_000 }

/** @param answeredAt - When the endpoint last answered anybody. */
function unavailable(answeredAt: number | null): SituError {
  const error = new SituError('MODEL_UNAVAILABLE', '503')
  error.endpointAnsweredAt = answeredAt
  return error
}

/** The same failure every ten milliseconds, from 110 on. */
const many = (retries: CallRetries, error: () => Error, count: number) =>
  Array.from({ length: count }, (_, index) => retries.next(error(), 110 + 10 * index))
const retriesOf = (record = 'a') => new CallRetries(policy, record, 100)

describe('CallRetries', () => {
  it('ends at so many tries where the endpoint answers others', () => {
    const waits = many(retriesOf(), () => unavailable(1_000), 3)
    expect(waits).toEqual([expect.any(Number), expect.any(Number), null])
    expect(many(retriesOf(), () => new SituError('MODEL_TIMEOUT', 'nobody knows'), 3).at(-1)).toBeNull()
  })

  it('never ends where the endpoint answers nobody, and waits longer and longer, up to a bound', () => {
    const waits = many(retriesOf(), () => unavailable(100), 50) as number[]
    for (const [index, ms] of waits.entries()) {
      const longest = Math.min(policy.maxBackoffMs, policy.backoffMs * 2 ** index)
      expect(ms).toBeGreaterThanOrEqual(longest / 2)
      expect(ms).toBeLessThanOrEqual(longest)
    }
  })

  it('counts a failure only where the endpoint has answered since the last one', () => {
    const retries = retriesOf()
    const answers = [105, 105, null, 135, 145, 155]
    const waits = answers.map((at, index) => retries.next(unavailable(at), 110 + 10 * index))
    expect(waits.map(ms => ms === null)).toEqual([false, false, false, false, true, true])
  })

  it('never counts a rate limit against the record, and waits no longer than the endpoint asks', () => {
    const limited = new SituError('MODEL_RATE_LIMITED', '429', { retryAfterMs: 7 })
    expect(many(retriesOf(), () => limited, 50)).toEqual(Array(50).fill(7))
  })

  it('leaves a longer Retry-After to the gate, where another endpoint may take the record', () => {
    const waitsAfter = (details: object) =>
      many(retriesOf(), () => new SituError('MODEL_RATE_LIMITED', '429', details), 3)
    expect(waitsAfter({ retryAfterMs: 600_000 })).toEqual(waitsAfter({}))
  })

  it.each(['MODEL_REQUEST_REFUSED', 'MODEL_UNAUTHORIZED', 'MODEL_NOT_FOUND', 'MODEL_CONTENT_FILTERED'] as const)(
    'does not try %s again',
    code => expect(retriesOf().next(new SituError(code, 'no'), 110)).toBeNull(),
  )

  it('does not try again what is no error of the table', () => {
    expect(retriesOf().next(new TypeError('x is not a function'), 110)).toBeNull()
  })

  it('waits alike in a rerun, and not alike for two records', () => {
    const waits = (record: string) => many(retriesOf(record), () => unavailable(null), 5)
    expect(waits('a')).toEqual(waits('a'))
    expect(waits('a')).not.toEqual(waits('b'))
  })
})
