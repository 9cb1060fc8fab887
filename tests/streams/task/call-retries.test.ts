import { describe, expect, it } from 'vitest'
import { SituError } from '../../../schemas/errors.ts'
import { CallRetries } from '../../../streams/task/call-retries.ts'

const policy = { maxAttempts: 3, backoffMs: 500, maxBackoffMs: 4_000, recordTimeoutMs: 1_000 }
const unavailable = (endpointAnswers: boolean) => new SituError('MODEL_UNAVAILABLE', '503', { endpointAnswers })
const many = (retries: CallRetries, error: Error, count: number) =>
  Array.from({ length: count }, () => retries.next(error))

describe('CallRetries', () => {
  it('ends at so many tries where the endpoint answers others', () => {
    const waits = many(new CallRetries(policy, 'a'), unavailable(true), 3)
    expect(waits).toEqual([expect.any(Number), expect.any(Number), null])
  })

  it('never ends where the endpoint answers nobody, and waits longer and longer, up to a bound', () => {
    const waits = many(new CallRetries(policy, 'a'), unavailable(false), 50) as number[]
    for (const [index, ms] of waits.entries()) {
      const longest = Math.min(policy.maxBackoffMs, policy.backoffMs * 2 ** index)
      expect(ms).toBeGreaterThanOrEqual(longest / 2)
      expect(ms).toBeLessThanOrEqual(longest)
    }
  })

  it('never counts a rate limit against the record, and waits as long as the endpoint asks', () => {
    const limited = new SituError('MODEL_RATE_LIMITED', '429', { retryAfterMs: 12_345, endpointAnswers: true })
    expect(many(new CallRetries(policy, 'a'), limited, 50)).toEqual(Array(50).fill(12_345))
  })

  it.each(['MODEL_REQUEST_REFUSED', 'MODEL_UNAUTHORIZED', 'MODEL_NOT_FOUND', 'MODEL_CONTENT_FILTERED'] as const)(
    'does not try %s again',
    code => expect(new CallRetries(policy, 'a').next(new SituError(code, 'no'))).toBeNull(),
  )

  it('does not try again what is no error of the table', () => {
    expect(new CallRetries(policy, 'a').next(new TypeError('x is not a function'))).toBeNull()
  })

  it('waits alike in a rerun, and not alike for two records', () => {
    const waits = (record: string) => many(new CallRetries(policy, record), unavailable(false), 5)
    expect(waits('a')).toEqual(waits('a'))
    expect(waits('a')).not.toEqual(waits('b'))
  })
})
