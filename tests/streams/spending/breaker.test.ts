import { beforeEach, describe, expect, it } from 'vitest'
import { Breaker, type Verdict } from '../../../streams/spending/breaker.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const down = new Error('down')
const refusal = new Error('refused')
const abort = new Error('given up')

describe('Breaker', () => {
  let clock: VirtualClock
  let breaker: Breaker
  let events: unknown[]
  beforeEach(() => {
    clock = new VirtualClock()
    events = []
    breaker = new Breaker({
      clock,
      verdict: (error): Verdict => (error === down ? 'down' : error === refusal ? 'up' : 'none'),
      onOpen: cause => events.push(['open', cause]),
      onClose: ms => events.push(['close', ms]),
    })
  })

  const run = (error?: Error) =>
    breaker
      .run(breaker.enter(), async () => {
        if (error) throw error
      })
      .catch((thrown: unknown) => thrown)
  const runMany = async (...errors: (Error | undefined)[]) => {
    for (const error of errors) await run(error)
  }

  it('opens after five failures in a row and names the last', async () => {
    await runMany(down, down, down, down)
    expect([breaker.isClosed, breaker.waitMs]).toEqual([true, 0])
    expect(await run(down)).toBe(down)
    expect([breaker.isClosed, breaker.waitMs]).toEqual([false, 1_000])
    expect(events).toEqual([['open', down]])
  })

  it('takes replies and refusals for signs of life, and calls that were given up for none', async () => {
    await runMany(down, down, down, down, undefined, down, down, down, down, refusal, down, down, down, down)
    expect(breaker.isClosed).toBe(true)
    await runMany(abort, down)
    expect(breaker.isClosed).toBe(false)
  })

  it('opens by the order in which calls began: late answers to calls from before do not hide an outage', async () => {
    const before = Promise.withResolvers<void>()
    const early = [1, 2, 3].map(() => breaker.run(breaker.enter(), () => before.promise))
    await runMany(down, down)
    before.resolve()
    await Promise.all(early)
    await runMany(down, down)
    expect(breaker.isClosed).toBe(true)
    await run(down)
    expect(breaker.isClosed).toBe(false)
  })

  it('stays closed where calls between those that failed are under way', async () => {
    const slow = Promise.withResolvers<void>()
    const calls: Promise<void>[] = []
    for (let failure = 0; failure < 20; failure++) {
      await runMany(down, down, down, down)
      calls.push(breaker.run(breaker.enter(), () => slow.promise))
    }
    expect(breaker.isClosed).toBe(true)
    slow.resolve()
    await Promise.all(calls)
    expect(breaker.isClosed).toBe(true)
  })

  it('lets one probe through in each interval, which doubles up to 15 seconds', async () => {
    await runMany(down, down, down, down, down)
    const waits: number[] = []
    for (let probe = 0; probe < 6; probe++) {
      waits.push(breaker.waitMs)
      await clock.advance(breaker.waitMs)
      expect(breaker.waitMs).toBe(0)
      await run(down)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
    expect(events).toHaveLength(1)
  })

  it('lets nobody in beside a probe, and closes when it is answered', async () => {
    await runMany(down, down, down, down, down)
    await clock.advance(1_000)
    const { promise, resolve } = Promise.withResolvers<void>()
    const probe = breaker.run(breaker.enter(), () => promise)
    expect(breaker.waitMs).toBe(Number.POSITIVE_INFINITY)
    await clock.advance(500)
    resolve()
    await probe
    expect([breaker.isClosed, breaker.waitMs]).toEqual([true, 0])
    expect(events.at(-1)).toEqual(['close', 1_500])
  })

  it('goes on waiting where the probe is given up, and leaves it to another one where it is not made', async () => {
    await runMany(down, down, down, down, down)
    await clock.advance(1_000)
    breaker.leave(breaker.enter())
    expect(breaker.waitMs).toBe(0)
    await run(abort)
    expect([breaker.isClosed, breaker.waitMs]).toEqual([false, 2_000])
  })

  it('counts no failure of calls that were under way when it opened', async () => {
    const late = Promise.withResolvers<void>()
    const calls = [1, 2, 3, 4, 5, 6].map(() => breaker.run(breaker.enter(), () => late.promise).catch(() => {}))
    await runMany(down, down, down, down, down)
    await clock.advance(1_000)
    const answer = Promise.withResolvers<void>()
    const probe = breaker.run(breaker.enter(), () => answer.promise)
    late.reject(down)
    await Promise.all(calls)
    answer.resolve()
    await probe
    expect(breaker.isClosed).toBe(true)
  })
})
