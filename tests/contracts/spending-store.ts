import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PaidReply, Rate, SpendingStore } from '../../streams/spending/store.ts'

export interface SpendingStoreFixture {
  /** Another connection of what is the same store for all of one test; the memory store has only one. */
  open(): Promise<SpendingStore>
  /** Moves the clock of the store on. */
  pass(ms: number): Promise<void>
  /** The clock of the store; milliseconds since 1970. */
  now(): Promise<number>
  close(): Promise<void>
}

/** A fixture whose stores go by a clock that stands still until it is moved. */
export function fixtureOf(
  open: (now: () => number) => Promise<SpendingStore>,
  remove: () => void = () => {},
): SpendingStoreFixture {
  let time = 1_700_000_000_000
  const opened: SpendingStore[] = []
  return {
    open: async () => {
      const store = await open(() => time)
      opened.push(store)
      return store
    },
    pass: async ms => {
      time += ms
    },
    now: async () => time,
    close: async () => {
      for (const store of opened) await store.close()
      remove()
    },
  }
}

export const keyOf = (index: number): string => index.toString(16).padStart(32, '0')

export function paidReply(text: string, changed: Partial<PaidReply> = {}): PaidReply {
  return {
    reply: {
      text,
      finishReason: 'stop',
      usage: { promptTokens: 100, cachedTokens: 40, completionTokens: 20 },
      model: 'model-1',
    },
    costUsd: 0.25,
    latencyMs: 1234,
    endpoint: 'main',
    operator: 'situate',
    time: 1_700_000_000_000,
    ...changed,
  }
}

const requests = (perMinute: number): Rate => ({ name: 'requests', perMinute })
const tokens = (perMinute: number): Rate => ({ name: 'tokens', perMinute })

/**
 * What every store of money promises.
 *
 * @param margin - Milliseconds by which the clock of the store may move on by itself within a test.
 */
export function testSpendingStore(name: string, start: () => Promise<SpendingStoreFixture>, margin = 0): void {
  describe(`${name} spending store`, () => {
    let fixture: SpendingStoreFixture
    let store: SpendingStore
    let other: SpendingStore
    beforeEach(async () => {
      fixture = await start()
      store = await fixture.open()
      other = await fixture.open()
    })
    afterEach(() => fixture.close())

    describe('replies', () => {
      it('gives a reply back as it was put, to every connection', async () => {
        const long = paidReply('ż '.repeat(5000), { costUsd: null, operator: 'instruct' })
        const noUsage = paidReply('', { reply: { text: '', finishReason: 'length', usage: null, model: 'm' } })
        await Promise.all([store.putReply(keyOf(1), long), store.putReply(keyOf(2), noUsage)])
        expect(await store.getReply(keyOf(1))).toEqual(long)
        expect(await other.getReply(keyOf(1))).toEqual(long)
        expect(await other.getReply(keyOf(2))).toEqual(noUsage)
        expect(await other.getReply(keyOf(3))).toBeNull()
      })

      it('keeps the first reply of a key', async () => {
        await store.putReply(keyOf(1), paidReply('first'))
        await other.putReply(keyOf(1), paidReply('second'))
        expect((await store.getReply(keyOf(1)))?.reply.text).toBe('first')
        expect(await store.cacheSummary()).toMatchObject({ replies: 1 })
      })

      it('never serves a rejected reply again, and keeps it beside the one that takes its place', async () => {
        await store.putReply(keyOf(1), paidReply('wrong'))
        await store.putReply(keyOf(2), paidReply('right'))
        await other.rejectReplies([keyOf(1), keyOf(9)])
        await other.rejectReplies([keyOf(1)])
        await other.rejectReplies([])
        expect(await store.getReply(keyOf(1))).toBeNull()
        expect(await store.cacheSummary()).toMatchObject({ replies: 1, rejected: 1 })
        await store.putReply(keyOf(1), paidReply('better'))
        expect((await store.getReply(keyOf(1)))?.reply.text).toBe('better')
        await store.rejectReplies([keyOf(1)])
        expect(await store.getReply(keyOf(1))).toBeNull()
        expect(await store.cacheSummary()).toMatchObject({ replies: 1, rejected: 2 })
      })

      it('sums up what it holds and what it saved', async () => {
        expect(await store.cacheSummary()).toEqual({
          replies: 0,
          bytes: 0,
          rejected: 0,
          oldest: null,
          served: { times: 0, tokens: 0, usd: 0 },
        })
        await store.putReply(keyOf(1), paidReply('old', { time: 5000 }))
        await store.putReply(keyOf(2), paidReply('new', { time: 9000 }))
        store.countServed(paidReply('old'))
        store.countServed(paidReply('unknown', { costUsd: null, reply: { ...paidReply('').reply, usage: null } }))
        const { bytes, ...summary } = await store.cacheSummary()
        expect(summary).toEqual({ replies: 2, rejected: 0, oldest: 5000, served: { times: 2, tokens: 120, usd: 0.25 } })
        expect(bytes).toBeGreaterThan(100)
        expect(bytes).toBeLessThan(1000)
        expect((await other.cacheSummary()).served.times).toBe(2)
      })

      it('clears replies from before a moment, rejected ones too', async () => {
        const count = 1200
        await Promise.all(
          Array.from({ length: count }, (_, index) => store.putReply(keyOf(index), paidReply('text', { time: index }))),
        )
        await store.rejectReplies([keyOf(3), keyOf(1199)])
        expect(await store.clearReplies(0)).toBe(0)
        expect(await other.clearReplies(1100)).toBe(1100)
        expect(await store.getReply(keyOf(1099))).toBeNull()
        expect(await store.getReply(keyOf(1100))).not.toBeNull()
        expect(await store.cacheSummary()).toMatchObject({ replies: 99, rejected: 1, oldest: 1100 })
        expect(await store.clearReplies(Number.MAX_SAFE_INTEGER)).toBe(100)
        expect(await store.cacheSummary()).toMatchObject({ replies: 0, rejected: 0, bytes: 0, oldest: null })
      })

      it('counts as served what is served by both connections at once', async () => {
        for (let count = 0; count < 50; count++) {
          store.countServed(paidReply(''))
          other.countServed(paidReply(''))
        }
        await store.cacheSummary()
        expect((await other.cacheSummary()).served.times).toBe(100)
      })
    })

    describe('turns', () => {
      it('gives the burst at once, and the others evenly, in the order of asking over all connections', async () => {
        const amounts = [{ rate: requests(100), amount: 1 }]
        const waits: number[] = []
        for (let count = 0; count < 10; count++) {
          waits.push(await (count % 2 ? store : other).bookTurn('main', amounts))
        }
        expect(waits.slice(0, 4).every(wait => wait === 0)).toBe(true)
        const interval = 61_500 / 97
        for (const [index, wait] of waits.slice(4).entries()) {
          expect(wait).toBeLessThanOrEqual(interval * (index + 1) + 0.01)
          expect(wait).toBeGreaterThan(interval * (index + 1) - margin - 0.01)
        }
      })

      it('shares a turn among requests and tokens: the tighter rate decides, for later turns of either too', async () => {
        const both = [
          { rate: requests(600), amount: 1 },
          { rate: tokens(60_000), amount: 2400 },
        ]
        expect(await store.bookTurn('main', both)).toBe(0)
        const wait = await store.bookTurn('main', both)
        expect(wait).toBeGreaterThan(2500 - margin)
        expect(wait).toBeLessThan(2600)
        expect(await other.bookTurn('main', [{ rate: requests(600), amount: 1 }])).toBeGreaterThan(2500 - margin)
      })

      it('keeps endpoints apart', async () => {
        const amounts = [{ rate: requests(1), amount: 1 }]
        expect(await store.bookTurn('one', amounts)).toBe(0)
        expect(await store.bookTurn('two', amounts)).toBe(0)
        expect(await other.bookTurn('one', amounts)).toBeGreaterThan(61_500 - margin - 1)
      })

      it('corrects what a turn was booked with, up and down', async () => {
        const rate = tokens(60_000)
        await store.bookTurn('main', [{ rate, amount: 2400 }])
        await other.settleTurn('main', [{ rate, amount: -2000 }])
        expect(await store.bookTurn('main', [{ rate, amount: 2000 }])).toBe(0)
        await store.settleTurn('main', [{ rate, amount: 9600 }])
        const wait = await store.bookTurn('main', [{ rate, amount: 2400 }])
        expect(wait).toBeGreaterThan(11_900 * (61_500 / 57_600) - margin)
        expect(wait).toBeLessThan(12_100 * (61_500 / 57_600))
        await store.settleTurn('unknown', [{ rate, amount: 5 }])
      })
    })

    describe('ledger', () => {
      const one = { calls: 1, tokens: 120, usd: 0.25 }

      it('sums up what the workers of a run spend together, and all of a day', async () => {
        const run = await store.joinRun('a')
        expect(await other.joinRun('b')).toBe(run)
        await store.spend('a', run, one)
        const { run: ofRun, day } = await other.spend('b', run, one)
        expect(ofRun).toEqual({ calls: 2, tokens: 240, usd: 0.5 })
        expect(day).toEqual(ofRun)
        const nothing = { calls: 0, tokens: 0, usd: 0 }
        expect(await store.spend('a', run, nothing)).toEqual({ run: ofRun, day })
      })

      it('begins a new run when all workers have left; the day goes on', async () => {
        const run = await store.joinRun('a')
        await other.joinRun('b')
        await store.spend('a', run, one)
        await store.leaveRun('a')
        expect(await store.joinRun('c')).toBe(run)
        await store.leaveRun('c')
        await other.leaveRun('b')
        await other.leaveRun('b')
        const next = await other.joinRun('b')
        expect(next).not.toBe(run)
        const sums = await other.spend('b', next, one)
        expect(sums).toEqual({ run: one, day: { calls: 2, tokens: 240, usd: 0.5 } })
      })

      it('begins a new run when no worker has given a sign for 10 s, and adds for the one that still does', async () => {
        const run = await store.joinRun('a')
        await store.spend('a', run, one)
        await fixture.pass(9000)
        await store.spend('a', run, one)
        await fixture.pass(9000)
        expect(await other.joinRun('b')).toBe(run)
        await fixture.pass(10_100)
        const next = await other.joinRun('c')
        expect(next).not.toBe(run)
        expect((await store.spend('a', run, one)).run.calls).toBe(3)
        expect((await store.spend('c', next, one)).run.calls).toBe(1)
      })

      it('begins a new day at midnight, UTC', async () => {
        const run = await store.joinRun('a')
        await store.spend('a', run, one)
        const now = await fixture.now()
        await fixture.pass(86_400_000 - (now % 86_400_000) + 1)
        expect(await store.spend('a', run, one)).toEqual({ run: { calls: 2, tokens: 240, usd: 0.5 }, day: one })
      })

      it('loses no spending of two connections at once', async () => {
        const run = await store.joinRun('a')
        await Promise.all(Array.from({ length: 100 }, (_, index) => (index % 2 ? store : other).spend('a', run, one)))
        const { run: sum } = await store.spend('a', run, { calls: 0, tokens: 0, usd: 0 })
        expect(sum).toEqual({ calls: 100, tokens: 12_000, usd: 25 })
      })
    })

    it('can be closed twice', async () => {
      await store.putReply(keyOf(1), paidReply('text'))
      await store.close()
      await store.close()
    })
  })
}
