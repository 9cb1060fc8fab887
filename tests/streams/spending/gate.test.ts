import { describe, expect, it } from 'vitest'
import { SituError } from '../../../schemas/errors.ts'
import { StatusFailure } from '../../../streams/models/openai/failures.ts'
import { CallRefused } from '../../../streams/spending/caller.ts'
import { seeded } from '../../support/documents.ts'
import { failing, Scene } from './scripted-endpoint.ts'

const minute = 60_000
const limited = (details = {}) => new SituError('MODEL_RATE_LIMITED', 'model test: status 429', details)

describe('before the first answer', () => {
  it('only one call is in flight, and then all that come', async () => {
    const scene = new Scene()
    scene.model.answer = () => ({ latencyMs: 5_000 })
    for (let call = 0; call < 50; call++) scene.begin()
    await scene.clock.advance(4_999)
    expect([scene.model.times.length, scene.gate.waiting]).toEqual([
      1,
      { cause: 'first answer', calls: 49, sinceMs: 4_999 },
    ])
    await scene.clock.advance(2_000)
    expect([scene.model.times.length, scene.model.mostInFlight]).toEqual([50, 49])
  })

  it.each(['MODEL_UNAVAILABLE', 'MODEL_TIMEOUT', 'MODEL_UNREACHABLE', 'MODEL_RESPONSE_BROKEN'] as const)(
    'three calls that fail with %s end all of them with one error, which names the last cause',
    async code => {
      const scene = new Scene()
      scene.model.answer = failing(code)
      for (let call = 0; call < 10; call++) scene.begin()
      await scene.clock.advance(minute)
      expect(scene.model.times).toHaveLength(3)
      expect(scene.codes).toEqual([code, code, ...new Array(8).fill('MODEL_NEVER_ANSWERED')])
      expect(String(scene.errors.at(-1))).toContain(`3 calls failed; the last: model test: ${code}`)
      await scene.begin()
      expect([scene.model.times.length, scene.codes.at(-1)]).toEqual([3, 'MODEL_NEVER_ANSWERED'])
    },
  )

  it.each(['MODEL_UNAUTHORIZED', 'MODEL_NOT_FOUND'] as const)('%s ends all calls at once', async code => {
    const scene = new Scene()
    scene.model.answer = failing(code)
    for (let call = 0; call < 10; call++) scene.begin()
    await scene.clock.advance(minute)
    expect([scene.model.times.length, new Set(scene.codes)]).toEqual([1, new Set([code])])
  })

  it('429 is waited for and never counts', async () => {
    const scene = new Scene()
    scene.model.answer = ({ number }) => (number <= 6 ? { latencyMs: 10, error: limited() } : { latencyMs: 1_000 })
    await scene.load(4, minute)
    expect(new Set(scene.codes)).toEqual(new Set(['MODEL_RATE_LIMITED']))
    expect(scene.errors).toHaveLength(6)
    expect(scene.results.length).toBeGreaterThan(50)
    expect(scene.model.times.slice(1, 5).map((time, index) => time - (scene.model.times[index] ?? 0))).toEqual([
      510, 1_010, 2_010, 4_010,
    ])
  })

  it('a refused request is no answer and no failure', async () => {
    const scene = new Scene()
    scene.model.answer = failing('MODEL_REQUEST_REFUSED')
    for (let call = 0; call < 6; call++) scene.begin()
    await scene.clock.advance(minute)
    expect([scene.model.mostInFlight, scene.model.times.length]).toEqual([1, 6])
    expect(new Set(scene.codes)).toEqual(new Set(['MODEL_REQUEST_REFUSED']))
  })

  it('a context that is too long is an answer', async () => {
    const scene = new Scene()
    scene.model.answer = failing('MODEL_CONTEXT_EXCEEDED')
    await scene.answerOnce()
    scene.model.answer = failing('MODEL_UNREACHABLE')
    await scene.load(1, minute)
    expect(scene.codes).not.toContain('MODEL_NEVER_ANSWERED')
  })
})

describe('turns', () => {
  it('go to later stages first, and in the order of coming within a stage', async () => {
    const scene = new Scene({ limits: { requestsPerMinute: 60 } })
    await scene.answerOnce()
    const ranks = [0, 1, 0, 2, 1, 2]
    for (const [index, rank] of ranks.entries()) scene.begin({ rank, operator: `${rank} ${index}`, sample: index })
    await scene.clock.advance(minute)
    const order = scene.model.requests.slice(1).map(({ sample }) => sample)
    // The first had booked its turn before the others came.
    expect(order).toEqual([3, 5, 1, 4, 0, 2])
  })

  it('are paced by the limits per minute', async () => {
    const scene = new Scene({ limits: { requestsPerMinute: 60, tokensPerMinute: 1_000_000 } })
    await scene.load(20, 3 * minute)
    expect(scene.gate.waiting?.cause).toBe('requests per minute')
    const { times } = scene.model
    const inWindow = times.map(from => times.filter(time => time >= from && time < from + minute).length)
    expect(Math.max(...inWindow)).toBeLessThanOrEqual(60)
    expect(times.length).toBeGreaterThan(3 * 60 * 0.9)
  })

  it('reserve tokens by estimate, learn from usage and settle by it', async () => {
    const scene = new Scene({ limits: { tokensPerMinute: 60_000 } })
    for (let call = 0; call < 3; call++) await scene.answerOnce()
    const tokens = scene.turns.booked.map(([booked]) => booked?.amount)
    expect(tokens).toEqual([547, 100, 100])
    expect(scene.turns.settled.map(([settled]) => settled?.amount)).toEqual([-447])
    expect(scene.gate.waiting).toBeNull()
  })

  it('are booked anew where they were not used in time', async () => {
    const scene = new Scene({ limits: { requestsPerMinute: 6 } })
    await scene.answerOnce()
    const own = new AbortController()
    scene.begin({ signal: own.signal })
    await scene.clock.advance(0)
    own.abort('left')
    await scene.clock.advance(minute)
    const booked = scene.turns.booked.length
    await scene.answerOnce()
    expect([scene.turns.booked.length - booked, scene.results.length]).toEqual([1, 2])
    expect(scene.turns.settled.at(-1)).toMatchObject([{ rate: { name: 'requests' }, amount: -1 }])
  })

  it('lose no reply where the store fails, whose error the next one meets', async () => {
    const scene = new Scene({ limits: { tokensPerMinute: 60_000 } })
    const gone = new SituError('SPENDING_UNREACHABLE', 'redis does not answer')
    scene.model.answer = () => {
      scene.turns.failure = gone
      return {}
    }
    await scene.answerOnce()
    expect(scene.results).toHaveLength(1)
    await scene.answerOnce()
    expect([scene.errors, scene.model.times.length]).toEqual([[gone], 1])
  })

  it('give tokens back where the endpoint refused the call for its rate', async () => {
    const scene = new Scene({ limits: { tokensPerMinute: 60_000 } })
    await scene.answerOnce()
    scene.model.answer = () => ({ error: limited() })
    await scene.answerOnce()
    expect(scene.turns.settled.at(-1)?.[0]?.amount).toBe(-100)
  })

  it('name tokens per minute where that is the tighter limit', async () => {
    const scene = new Scene({ limits: { requestsPerMinute: 1_000, tokensPerMinute: 600 } })
    await scene.load(3, minute)
    expect(scene.gate.waiting?.cause).toBe('tokens per minute')
  })

  it('learn limits from the answers, and leave those that are not per minute', async () => {
    const scene = new Scene()
    const rateLimits = [
      { name: 'requests', limit: 14_400, remaining: 14_370, resetMs: 179_560 },
      { name: 'tokens', limit: 6_000, remaining: 5_900, resetMs: 1_000 },
    ] as const
    scene.model.answer = () => ({ reply: { rateLimits } })
    await scene.load(2, minute)
    const rates = scene.turns.booked.flat().map(({ rate }) => rate)
    expect(new Set(rates.map(({ name, perMinute }) => `${name} ${perMinute}`))).toEqual(new Set(['tokens 5820']))
    expect(scene.model.times.length).toBeGreaterThan(50)
    expect(scene.model.times.length).toBeLessThan(62)
  })

  it('learn limits from refusals too', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    const rateLimits = [{ name: 'requests', limit: 30, remaining: 0, resetMs: 1_000 }] as const
    scene.model.answer = ({ number }) => (number === 2 ? { error: new StatusFailure(limited(), 429, rateLimits) } : {})
    await scene.load(2, 2 * minute)
    expect(scene.gate.waiting?.cause).toBe('requests per minute')
  })

  it('are not lost by who leaves: at most one is booked ahead, and the next one takes it', async () => {
    const scene = new Scene({ limits: { requestsPerMinute: 60 } })
    await scene.answerOnce()
    const controllers = Array.from({ length: 10 }, () => new AbortController())
    for (const { signal } of controllers) scene.begin({ signal })
    await scene.clock.advance(10)
    for (const controller of controllers) controller.abort(new Error('left'))
    await scene.clock.advance(10)
    expect([scene.errors.length, scene.gate.waiting]).toEqual([10, null])
    const booked = scene.turns.booked.length
    scene.begin()
    await scene.clock.advance(2_000)
    expect([scene.turns.booked.length - booked, scene.results.length]).toEqual([0, 2])
  })
})

describe('a wait', () => {
  it('ends with CallRefused in a drain, with the reason of the signal where that is aborted', async () => {
    const scene = new Scene()
    scene.model.answer = () => ({ latencyMs: minute })
    const own = new AbortController()
    const waits: boolean[] = []
    scene.begin()
    scene.begin({ onWait: isWaiting => waits.push(isWaiting) })
    scene.begin({ signal: own.signal })
    await scene.clock.advance(10)
    own.abort('record timeout')
    await scene.clock.advance(10)
    expect(scene.errors).toEqual(['record timeout'])
    scene.drain.abort()
    await scene.clock.advance(10)
    expect(scene.errors[1]).toBeInstanceOf(CallRefused)
    await scene.clock.advance(minute)
    expect([scene.results.length, waits, scene.model.times.length]).toEqual([1, [true, false], 1])
    await scene.begin()
    expect(scene.errors[2]).toBeInstanceOf(CallRefused)
  })

  it('ends with the refusal of the lead, whose turn the next call takes', async () => {
    let left = 2
    const scene = new Scene({
      limits: { requestsPerMinute: 60 },
      admit: () => {
        if (left-- <= 0) throw new CallRefused()
      },
    })
    for (let call = 0; call < 3; call++) await scene.answerOnce()
    expect(scene.errors[0]).toBeInstanceOf(CallRefused)
    expect(scene.results[0]).toMatchObject({ costUsd: null, latencyMs: 100, endpoint: 'first', isFromCache: false })
    left = 1
    await scene.answerOnce()
    expect([scene.results.length, scene.turns.booked.length]).toEqual([3, 3])
  })
})

describe('429', () => {
  it('with Retry-After: nothing goes to the endpoint before', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    scene.model.answer = ({ number }) =>
      number === 20 ? { latencyMs: 1, error: limited({ retryAfterMs: 20_000 }) } : { latencyMs: 100 }
    scene.load(10, minute)
    await scene.clock.advance(minute)
    const refusedAt = (scene.model.times[19] ?? 0) + 1
    const between = scene.model.times.filter(time => time > refusedAt && time < refusedAt + 20_000)
    expect(between).toEqual([])
    expect(scene.model.times.some(time => time >= refusedAt + 20_000 && time < refusedAt + 20_100)).toBe(true)
  })

  it('is followed by a capacity of 20, 5 and 20 calls a second', async () => {
    const scene = new Scene()
    const start = scene.clock.now()
    let tokens = 20
    let last = start
    const capacityAt = (time: number) => (time - start >= minute && time - start < 2 * minute ? 5 : 20)
    scene.model.answer = ({ time }) => {
      tokens = Math.min(capacityAt(time), tokens + ((time - last) / 1000) * capacityAt(time))
      last = time
      if (tokens < 1) return { latencyMs: 5, error: limited() }
      tokens--
      return { latencyMs: 500 }
    }
    const ends: number[] = []
    for (let part = 0; part < 6; part++) {
      await scene.load(part === 0 ? 40 : 0, minute / 2)
      if (part === 0) void scene.load(40, 2.5 * minute).catch(() => {})
      ends.push(scene.results.length)
    }
    const used = (part: number, perSecond: number) => ((ends[part] ?? 0) - (ends[part - 1] ?? 0)) / (30 * perSecond)
    expect([used(1, 20), used(3, 5), used(5, 20)].map(share => share >= 0.9)).toEqual([true, true, true])
    expect(scene.errors.length / scene.model.times.length).toBeLessThan(0.03)
    expect(scene.gate.waiting?.cause).toBe('rate limited by the endpoint')
  })

  it.each([
    [200, null, 300],
    [2_000, null, 30],
    [200, 1_000, 60],
    [2_000, 1_000, 24],
  ])(
    'of one call in fifty, with a latency of %i ms and a Retry-After of %s, leaves %i calls a second',
    async (latencyMs, retryAfterMs, wanted) => {
      const scene = new Scene()
      const random = seeded(1)
      const details = retryAfterMs === null ? {} : { retryAfterMs }
      scene.model.answer = () => ({ latencyMs, ...(random() < 0.02 && { error: limited(details) }) })
      await scene.load(64, 2 * minute)
      const late = scene.clock.now() - minute / 2
      expect(scene.model.times.filter(time => time >= late).length / 30).toBeGreaterThan(wanted)
    },
  )

  it('of an endpoint that takes eight calls at a time: it is used, and seldom refuses', async () => {
    const scene = new Scene()
    scene.model.answer = () => (scene.model.inFlight > 8 ? { latencyMs: 5, error: limited() } : { latencyMs: 1_000 })
    await scene.load(40, minute / 2)
    const [results, errors] = [scene.results.length, scene.errors.length]
    await scene.load(40, 2 * minute)
    const made = scene.results.length - results
    expect(made / (2 * 60 * 8)).toBeGreaterThan(0.8)
    expect((scene.errors.length - errors) / made).toBeLessThan(0.05)
  })
})
