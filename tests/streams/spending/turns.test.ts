import { describe, expect, it } from 'vitest'
import { Random } from '../../../streams/models/stand-in/random.ts'
import type { Rate } from '../../../streams/spending/store.ts'
import { type Bucket, book, settle } from '../../../streams/spending/turns.ts'

const minute = 60_000
/** How much later than its turn a call may arrive at the server. */
const latestMs = 1500

interface Arrival {
  at: number
  amount: number
}

interface Load {
  rate: Rate
  workers: number
  minutes: number
  seed: number
  amount: (random: () => number) => number
  /** What a call takes in truth, of what was booked; told this long after its turn. */
  truth?: { share: (random: () => number) => number; afterMs: number }
}

/** Workers who take turn after turn, as fast as they get them. */
function run({ rate, workers, minutes, seed, amount, truth }: Load): Arrival[] {
  const numbers = new Random(seed)
  const random = () => numbers.next()
  const arrivals: Arrival[] = []
  const settlements: { at: number; difference: number }[] = []
  const asks = Array.from({ length: workers }, () => random() * 100)
  let bucket: Bucket | null = null
  for (;;) {
    const now = Math.min(...asks)
    if (now > minutes * minute) return arrivals.sort((left, right) => left.at - right.at)
    const worker = asks.indexOf(now)
    settlements.sort((left, right) => left.at - right.at)
    while (bucket && (settlements[0]?.at ?? Number.POSITIVE_INFINITY) <= now) {
      bucket = settle(bucket, settlements.shift()?.difference ?? 0)
    }
    const booked = amount(random)
    const { at, buckets } = book([{ rate, bucket, amount: booked }], now)
    bucket = buckets[0] ?? null
    asks[worker] = at + random() * 20
    const taken = Math.round(booked * (truth?.share(random) ?? 1))
    arrivals.push({ at: at + random() * latestMs, amount: taken })
    if (truth) settlements.push({ at: at + truth.afterMs, difference: taken - booked })
  }
}

/** The most that arrives within any 60 seconds. */
function fullestMinute(arrivals: readonly Arrival[]): number {
  let most = 0
  let sum = 0
  let first = 0
  for (const { at, amount } of arrivals) {
    sum += amount
    while ((arrivals[first]?.at ?? at) < at - minute) sum -= arrivals[first++]?.amount ?? 0
    most = Math.max(most, sum)
  }
  return most
}

/** What is used of the limit, after the first minute. */
function used(arrivals: readonly Arrival[], { perMinute }: Rate, minutes: number): number {
  const sum = arrivals.filter(({ at }) => at > minute).reduce((total, { amount }) => total + amount, 0)
  return sum / ((minutes - 1) * perMinute)
}

const requests = (perMinute: number): Rate => ({ name: 'requests', perMinute })
const tokens = (perMinute: number): Rate => ({ name: 'tokens', perMinute })
const seeds = [1, 2, 3, 4, 5]

describe('turns', () => {
  it.each([1, 2, 3, 7, 10, 24, 25, 60, 100, 999, 5000].flatMap(limit => seeds.map(seed => [limit, seed])))(
    'no minute has more than %i requests, and 93 %% of them are used (seed %i)',
    (limit = 0, seed = 0) => {
      const minutes = limit < 20 ? 40 : 8
      const rate = requests(limit)
      const arrivals = run({ rate, workers: Math.min(limit * 2, 40), minutes, seed, amount: () => 1 })
      expect(fullestMinute(arrivals)).toBeLessThanOrEqual(limit)
      expect(used(arrivals, rate, minutes)).toBeGreaterThan(0.93 - 1 / (limit * (minutes - 1)))
    },
  )

  it.each(seeds)(
    'no minute has more tokens than its limit, and 93 %% are used with calls of usual size (seed %i)',
    seed => {
      const rate = tokens(200_000)
      const load = { rate, workers: 40, minutes: 8, seed, amount: (random: () => number) => 500 + random() * 5000 }
      const arrivals = run(load)
      expect(fullestMinute(arrivals)).toBeLessThanOrEqual(rate.perMinute)
      expect(used(arrivals, rate, load.minutes)).toBeGreaterThan(0.93)
    },
  )

  it.each(seeds)('no minute has more tokens than its limit with calls of any size up to it (seed %i)', seed => {
    const rate = tokens(10_000)
    const amount = (random: () => number) => Math.min(10_000, 100 * 1.2 ** (random() * 26))
    const arrivals = run({ rate, workers: 10, minutes: 60, seed, amount })
    expect(Math.max(...arrivals.map(arrival => arrival.amount))).toBeGreaterThan(9000)
    expect(fullestMinute(arrivals)).toBeLessThanOrEqual(rate.perMinute)
  })

  it('gives the share of a large call away, not more', () => {
    const rate = tokens(30_000)
    const arrivals = run({ rate, workers: 10, minutes: 20, seed: 1, amount: random => 2500 + random() * 500 })
    expect(fullestMinute(arrivals)).toBeLessThanOrEqual(rate.perMinute)
    expect(used(arrivals, rate, 20)).toBeGreaterThan(0.86)
  })

  it.each(seeds)('uses the limit by what calls take in truth, where estimates are too high (seed %i)', seed => {
    const rate = tokens(200_000)
    const truth = { share: (random: () => number) => 0.5 + random() * 0.2, afterMs: 2000 }
    const arrivals = run({ rate, workers: 40, minutes: 8, seed, amount: () => 2000, truth })
    expect(fullestMinute(arrivals)).toBeLessThanOrEqual(rate.perMinute)
    expect(used(arrivals, rate, 8)).toBeGreaterThan(0.9)
  })

  it.each(seeds)('falls back to the limit where estimates are too low (seed %i)', seed => {
    const rate = tokens(200_000)
    const truth = { share: (random: () => number) => 1.2 + random() * 0.4, afterMs: 2000 }
    const arrivals = run({ rate, workers: 4, minutes: 8, seed, amount: () => 2000, truth })
    // What is not known yet when the next ones are booked: the excess of two seconds, and of a turn for each worker.
    expect(fullestMinute(arrivals)).toBeLessThanOrEqual(rate.perMinute * 1.04)
    expect(used(arrivals, rate, 8)).toBeGreaterThan(0.9)
  })

  it('gives no more than the burst at a fresh start', () => {
    let bucket: Bucket | null = null
    const waits = Array.from({ length: 1000 }, () => {
      const booked: ReturnType<typeof book> = book([{ rate: requests(1000), bucket, amount: 1 }], 5000)
      bucket = booked.buckets[0] ?? null
      return booked.at - 5000
    })
    expect(waits.filter(wait => wait === 0)).toHaveLength(40)
    expect(waits.toSorted((left, right) => left - right)).toEqual(waits)
    expect(waits.at(-1)).toBeGreaterThan(minute * 0.95)
  })

  it('does not wait for the time that a clock has been set back', () => {
    const rate = requests(60)
    const { buckets } = book([{ rate, bucket: null, amount: 1 }], 10_000_000)
    const { at } = book([{ rate, bucket: buckets[0] ?? null, amount: 1 }], 1_000_000)
    expect(at - 1_000_000).toBeLessThan(1100)
  })
})
