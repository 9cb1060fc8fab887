import { describe, expect, it } from 'vitest'
import { estimateLatency } from '../../../streams/estimate/latency.ts'
import { exactly } from '../../../streams/estimate/statistics.ts'
import { seeded } from '../../support/documents.ts'

const random = seeded(11)
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
/** Calls of a median of 500 ms and a 99th percentile of 1,500 ms, whatever they reply. */
const draw = (count: number) =>
  Array.from({ length: count }, () => ({ tokens: 300 + 200 * random(), latencyMs: 500 * Math.exp(0.4722 * normal()) }))
const meanMs = 500 * Math.exp(0.4722 ** 2 / 2)
const stage = (calls: number, tokens: number) => ({ calls: exactly(calls), tokens: exactly(calls * tokens) })

describe('the latency of a stage', () => {
  it('of two that ask the same endpoint is not that of the sample which happened to be the slower one', () => {
    const longest = Array.from({ length: 400 }, () => {
      const [first, second] = [draw(20), draw(20)]
      const tokens = (own: typeof first) => own.reduce((sum, call) => sum + call.tokens, 0) / own.length
      const all = [...first, ...second]
      return Math.max(...[first, second].map(own => estimateLatency(all, stage(1_000, tokens(own))).value ?? 0))
    })
    const ratio = longest.reduce((sum, value) => sum + value, 0) / (longest.length * 1_000 * meanMs)
    expect(ratio).toBeGreaterThan(0.98)
    // Each by its own sample alone: 1.06.
    expect(ratio).toBeLessThan(1.03)
  })

  it('is longer where the replies are', () => {
    const sampled = [100, 120, 110, 130, 400, 420, 410, 430].map(tokens => ({ tokens, latencyMs: 200 + 10 * tokens }))
    expect(estimateLatency(sampled, stage(1_000, 115)).value).toBeCloseTo(1_000 * (200 + 1_150), 3)
    expect(estimateLatency(sampled, stage(1_000, 415)).value).toBeCloseTo(1_000 * (200 + 4_150), 3)
  })

  it('has an interval although the calls of the stage are no more than those sampled', () => {
    const { value, low, high } = estimateLatency(draw(40), stage(30, 400))
    expect(low).toBeLessThan(value ?? 0)
    expect(high).toBeGreaterThan(value ?? 0)
  })

  it('of a stage without calls is nothing', () => {
    expect(estimateLatency(draw(10), stage(0, 0))).toEqual(exactly(0))
  })
})
