import { describe, expect, it } from 'vitest'
import { estimateDuration } from '../../../streams/estimate/duration.ts'
import { remainingOf, type StageProgress } from '../../../streams/estimate/remaining.ts'
import { exactly, unknown } from '../../../streams/estimate/statistics.ts'

const work = (stage: string, calls: number, latencyMs: number, tokens = 1_000) => ({
  stage,
  endpoint: 'fake model',
  calls: exactly(calls),
  tokens: exactly(calls * tokens),
  latencyMs: exactly(calls * latencyMs),
  slowMs: 2 * latencyMs,
})
const base = { concurrency: 10, limits: new Map(), freeSeconds: 0 }

describe('the time of a run', () => {
  it('is that of the slower of two stages that work at once, and a slow call of each', () => {
    const { seconds, boundBy } = estimateDuration({
      ...base,
      workloads: [work('a', 100, 2_000), work('b', 100, 1_000)],
    })
    expect([seconds.value, boundBy]).toEqual([expect.closeTo(20 + 6 + 0.8, 6), 'a, 10 at once'])
  })

  it('is set by a limit per minute over both stages, where that is tighter', () => {
    const workloads = [work('a', 100, 100), work('b', 100, 100)]
    const limited = (limit: { requests?: number; tokens?: number }) =>
      estimateDuration({ ...base, workloads, limits: new Map([['fake model', limit]]) })
    expect(limited({ requests: 100 })).toMatchObject({ boundBy: 'requests per minute of fake' })
    expect(limited({ requests: 100 }).seconds.value).toBeCloseTo(120 + 0.4 + 0.8, 6)
    expect(limited({ tokens: 50_000 })).toMatchObject({ boundBy: 'tokens per minute of fake' })
  })

  it('is unknown where a latency is, and nothing where nothing is to do', () => {
    const slow = { ...work('a', 10, 0), latencyMs: unknown }
    expect(estimateDuration({ ...base, workloads: [slow] })).toEqual({ seconds: unknown, boundBy: null })
    expect(estimateDuration({ ...base, workloads: [work('a', 0, 0)] })).toEqual({ seconds: exactly(0), boundBy: null })
  })
})

describe('what is left of a run', () => {
  const stage = (changes: Partial<StageProgress>): StageProgress => ({
    left: 0,
    next: null,
    finished: 100,
    out: 100,
    spent: { inputs: 0, usd: 0, unpriced: 0 },
    worked: 100,
    ...changes,
  })
  const paid = (usd: number, unpriced = 0) => ({ inputs: 100, usd, unpriced })

  it('counts what flows on to later stages with the yield so far', () => {
    const stages = [
      stage({ left: 50, next: 1, out: 80, spent: paid(1) }),
      stage({ left: 10, finished: 50, worked: 50, spent: { inputs: 50, usd: 1, unpriced: 0 } }),
    ]
    // 50 inputs at 1 cent, then 10 + 40 at 2 cents; the second stage has done 50 in 60 s.
    expect(remainingOf(stages, 60)).toEqual({ usd: expect.closeTo(1.5, 9), seconds: 60 })
  })

  it('says nothing before each stage with work left has finished ten, and where nothing is left', () => {
    expect(remainingOf([stage({ left: 50, worked: 9 })], 60)).toBeNull()
    expect(remainingOf([stage({ left: 50, next: 1 }), stage({ worked: 0 })], 60)).toBeNull()
    expect(remainingOf([stage({})], 60)).toBeNull()
  })

  it('knows no cost where a price is not known', () => {
    expect(remainingOf([stage({ left: 50, spent: paid(0, 3) })], 60)).toEqual({ usd: null, seconds: 30 })
  })
})
