import { describe, expect, it } from 'vitest'
import { AdaptiveRate } from '../../../streams/spending/adaptive-rate.ts'
import { seeded } from '../../support/documents.ts'

type Accepts = (time: number, perSecond: number) => boolean

/** Ways in which servers count a rate. */
const servers: Record<string, () => Accepts> = {
  'a bucket that holds one second': () => {
    let [tokens, last] = [Number.POSITIVE_INFINITY, 0]
    return (time, perSecond) => {
      tokens = Math.min(perSecond, tokens + ((time - last) / 1000) * perSecond)
      last = time
      if (tokens < 1) return false
      tokens--
      return true
    }
  },
  'whole seconds': () => {
    let [second, count] = [-1, 0]
    return (time, perSecond) => {
      if (Math.floor(time / 1000) !== second) [second, count] = [Math.floor(time / 1000), 0]
      return ++count <= perSecond
    }
  },
  'the last second': () => {
    let accepted: number[] = []
    return (time, perSecond) => {
      accepted = accepted.filter(at => at > time - 1000)
      return accepted.length < perSecond && accepted.push(time) > 0
    }
  },
}

interface Strays {
  /** Of the calls, 0 to 1. */
  share: number
  answerMs: number
  seed: number
}

/**
 * Calls as fast as it lets through, for so long. A limit refuses after 5 ms; strays come as late as answers.
 *
 * @returns Accepted and refused calls and strays by second.
 */
function drive(
  accepts: Accepts,
  capacity: (time: number) => number,
  seconds: number,
  { share, answerMs, seed }: Strays = { share: 0, answerMs: 5, seed: 1 },
) {
  const rate = new AdaptiveRate()
  const random = seeded(seed)
  const [accepted, refused, strays] = [0, 0, 0].map(() => new Array<number>(seconds).fill(0)) as [
    number[],
    number[],
    number[],
  ]
  const under: { begun: number; at: number }[] = []
  for (let time = 0; time < seconds * 1000; ) {
    const due = time + rate.waitMs(time)
    const [next] = under
    if (next && next.at <= due) {
      time = next.at
      under.shift()
      rate.refused(next.begun, time)
      continue
    }
    time = due
    const second = Math.floor(time / 1000)
    if (second >= seconds) break
    rate.take(time, true)
    const counts = random() < share ? strays : accepts(time, capacity(time)) ? accepted : refused
    counts[second] = (counts[second] ?? 0) + 1
    if (counts === accepted) continue
    under.push({ begun: time, at: time + (counts === strays ? answerMs : 5) })
    under.sort((left, right) => left.at - right.at)
  }
  return { rate, accepted, refused, strays }
}

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)

describe('AdaptiveRate', () => {
  it('ramps up to 200 calls a second within 1.4 s, where nothing is refused', () => {
    const { accepted, rate } = drive(
      () => true,
      () => Number.POSITIVE_INFINITY,
      2,
    )
    // 200 a second from the beginning, but for what a ramp of 0.8 s costs.
    expect(total(accepted)).toBeGreaterThan(200 * (2 - 0.85))
    expect(rate.isLimited).toBe(false)
  })

  it('does not grow by what nobody uses', () => {
    const rate = new AdaptiveRate()
    for (let time = 0; time < 600_000; time += 1000) rate.take(time, false)
    expect(rate.perSecond).toBeLessThan(25)
  })

  it.each(Object.keys(servers))('follows a capacity of 20, 5 and 20 a second, counted as %s', name => {
    const capacity = (time: number) => (time >= 60_000 && time < 120_000 ? 5 : 20)
    const { accepted, refused } = drive(servers[name]?.() ?? (() => false), capacity, 180)
    for (const [from, perSecond] of [
      [30, 20],
      [90, 5],
      [150, 20],
    ] as const) {
      const used = total(accepted.slice(from, from + 30)) / (30 * perSecond)
      expect({ from, isUsed: used >= 0.9 }).toEqual({ from, isUsed: true })
    }
    expect(total(refused) / (total(refused) + total(accepted))).toBeLessThan(0.02)
    expect(total(refused.slice(90, 120)) / total(accepted.slice(90, 120))).toBeLessThan(0.06)
  })

  it.each(Object.keys(servers).flatMap(name => [200, 2_000].map(answerMs => [name, answerMs] as const)))(
    'follows a capacity among strays, counted as %s, with a latency of %i ms',
    (name, answerMs) => {
      const capacity = (time: number) => (time >= 120_000 && time < 180_000 ? 5 : 20)
      for (const seed of [1, 2, 3, 4, 5]) {
        const strays = { share: 0.02, answerMs, seed }
        const { accepted, refused } = drive(servers[name]?.() ?? (() => false), capacity, 240, strays)
        for (const [from, perSecond] of [
          [90, 20],
          [150, 5],
          [210, 20],
        ] as const) {
          const used = total(accepted.slice(from, from + 30)) / (30 * perSecond)
          expect({ seed, from, isUsed: used >= 0.86 }).toEqual({ seed, from, isUsed: true })
        }
        // It takes a few refusals more to tell a limit among strays.
        expect(total(refused) / (total(refused) + total(accepted))).toBeLessThan(0.045)
      }
    },
  )

  it('takes a refusal after hours without any for the limit of what was called, not of what was allowed', () => {
    const rate = new AdaptiveRate()
    for (let time = 0; time < 60_000; time += 5) rate.take(time, time < 30_000)
    rate.refused(59_990, 60_000)
    expect(rate.perSecond).toBeGreaterThan(150)
    expect(rate.perSecond).toBeLessThan(201)
  })

  it('catches up with what a busy process was late by, and with no more', () => {
    const rate = new AdaptiveRate()
    rate.take(0, false)
    const begun = (now: number) => {
      let calls = 0
      for (; rate.waitMs(now) === 0; calls++) rate.take(now, false)
      return calls
    }
    begun(0)
    expect([begun(100), begun(60_000)]).toEqual([2, 6])
  })

  it('makes one decrease of the refusals of one flight', () => {
    const rate = new AdaptiveRate()
    for (let call = 0; call < 5; call++) rate.take(call * 50, true)
    rate.refused(0, 300)
    const after = rate.perSecond
    for (let call = 1; call < 5; call++) rate.refused(call * 50, 1_000)
    expect(rate.perSecond).toBe(after)
  })

  it('stops for a moment when a decrease was not enough', () => {
    const rate = new AdaptiveRate()
    rate.take(0, true)
    rate.refused(0, 100)
    expect(rate.waitMs(100)).toBeGreaterThanOrEqual(190)
  })
})
