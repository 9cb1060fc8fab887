import { describe, expect, it } from 'vitest'
import {
  add,
  addTotals,
  estimateTotal,
  exactly,
  intervalOf,
  meanOfMore,
  type Point,
  share,
  t95,
  times,
  unknown,
} from '../../../streams/estimate/statistics.ts'
import { seeded } from '../../support/documents.ts'

/** Prompt and reply tokens of a made-up corpus: replies depend on prompts, with a long tail. */
function population(size: number, seed: number): Point[] {
  const random = seeded(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return Array.from({ length: size }, () => {
    const x = 500 + 3_000 * random()
    return { x, y: x + 300 * Math.exp(0.5 * normal()) }
  })
}

function drawn(points: readonly Point[], count: number, seed: number): Point[] {
  const random = seeded(seed)
  return points
    .map(point => ({ point, place: random() }))
    .sort((left, right) => left.place - right.place)
    .slice(0, count)
    .map(({ point }) => point)
}

const meanOf = (points: readonly Point[]) => points.reduce((sum, { x }) => sum + x, 0) / points.length
const totalOf = (points: readonly Point[]) => points.reduce((sum, { y }) => sum + y, 0)

describe('the regression estimator', () => {
  it('is exact where y depends on x by a line, whatever the sample', () => {
    const all = population(1_000, 1).map(({ x }) => ({ x, y: 20 + 1.5 * x }))
    const { low, value, high } = intervalOf(estimateTotal(drawn(all, 20, 2), { size: 1_000, meanX: meanOf(all) }))
    for (const part of [low, value, high]) expect(part).toBeCloseTo(totalOf(all), 3)
  })

  it('is exact where the sample is everything', () => {
    const all = population(20, 3)
    const total = estimateTotal(all, { size: 20, meanX: meanOf(all) })
    expect([total.value, total.variance]).toEqual([expect.closeTo(totalOf(all), 6), 0])
  })

  it('has nine true totals of ten in its interval, and is far better than the mean alone', () => {
    const all = population(2_000, 4)
    const [truth, meanX] = [totalOf(all), meanOf(all)]
    const rounds = 400
    let [inside, byLine, byMean] = [0, 0, 0]
    for (let seed = 1; seed <= rounds; seed++) {
      const sample = drawn(all, 20, seed)
      const { low, value, high } = intervalOf(estimateTotal(sample, { size: all.length, meanX }))
      if ((low ?? 0) <= truth && truth <= (high ?? 0)) inside++
      byLine += Math.abs((value ?? 0) - truth)
      byMean += Math.abs((totalOf(sample) / sample.length) * all.length - truth)
    }
    expect(inside / rounds).toBeGreaterThan(0.87)
    expect(inside / rounds).toBeLessThan(0.97)
    expect(byLine).toBeLessThan(byMean / 3)
  })

  it('takes the mean where all x are the same, and knows no interval of one input', () => {
    const same = [1, 2, 3, 4, 5, 6, 7].map(y => ({ x: 5, y }))
    expect(estimateTotal(same, { size: 70, meanX: 5 })).toMatchObject({ value: 280, freedom: 6 })
    const one = intervalOf(estimateTotal([{ x: 1, y: 3 }], { size: 10, meanX: 2 }), 3)
    expect(one).toEqual({ value: 30, low: 3, high: null })
  })

  it('never goes below what the sample alone has taken', () => {
    const points = [0, 0, 0, 100].map((y, x) => ({ x, y }))
    expect(intervalOf(estimateTotal(points, { size: 5, meanX: 1.5 }), 100).low).toBe(100)
  })
})

describe('sums', () => {
  it('adds variances of totals that do not depend on each other', () => {
    const total = addTotals([
      { value: 10, variance: 4, freedom: 9 },
      { value: 20, variance: 4, freedom: 9 },
    ])
    expect(total).toEqual({ value: 30, variance: 8, freedom: 18 })
    expect(addTotals([total, { value: 1, variance: null, freedom: 1 }]).variance).toBeNull()
  })

  it('keeps what is known of the parts: an upper bound without a value', () => {
    const atMost = { value: null, low: 0, high: 5 }
    expect(add(exactly(2), atMost)).toEqual({ value: null, low: 2, high: 7 })
    expect(times(exactly(2), atMost)).toEqual({ value: null, low: 0, high: 10 })
    expect(add(exactly(2), unknown)).toEqual(unknown)
  })
})

describe('quantiles and shares', () => {
  it.each([
    [1, 6.3138],
    [2, 2.92],
    [3, 2.3534],
    [5, 2.015],
    [18, 1.7341],
    [1000, 1.6464],
  ])('knows the 95th percentile of t with %i degrees of freedom', (freedom, wanted) => {
    expect(t95(freedom)).toBeCloseTo(wanted, freedom === 3 ? 1 : 2)
  })

  it('gives a share Wilson’s interval, also at the ends', () => {
    expect(share(20, 20)).toEqual({ value: 1, low: expect.closeTo(0.8809, 3), high: 1 })
    expect(share(0, 20)).toEqual({ value: 0, low: 0, high: expect.closeTo(0.1191, 3) })
    expect(share(0, 0)).toEqual({ value: null, low: 0, high: 1 })
    const half = share(10, 20)
    expect((half.low ?? 0) + (half.high ?? 0)).toBeCloseTo(1, 9)
  })

  it('is surer of the mean of many than of the next one', () => {
    const recorded = [90, 100, 110, 95, 105]
    const width = (future: number) => {
      const { low, high } = meanOfMore(recorded, future)
      return (high ?? 0) - (low ?? 0)
    }
    expect(meanOfMore(recorded, 1).value).toBe(100)
    expect(width(1_000)).toBeLessThan(width(1) / 2)
    expect(meanOfMore([], 1)).toEqual(unknown)
  })
})
