/**
 * A process on a store of money, for the tests of several processes. Prints one JSON value a line.
 *
 * node spending-child.ts COMMAND FOLDER [ARGUMENT …]; with SITU_TEST_USER it works with the rights of that user id.
 */
import { randomBytes } from 'node:crypto'
import { SqliteSpendingStore } from '../../../../streams/spending/stores/sqlite.ts'
import { keyOf, paidReply } from '../../../contracts/spending-store.ts'
import { describeError, print, runCommand } from '../../../support/child-commands.ts'

await runCommand({
  async open([folder = '', how = '']) {
    const store = await SqliteSpendingStore.open(folder, { create: how === 'write', readOnly: how === 'read' })
    await store.cacheSummary()
    if (how === 'write') await store.putReply(keyOf(1), paidReply('text'))
    print({ opened: how })
  },

  /** Puts replies, ten at once, until it is killed, and says which are kept. */
  async put([folder = '']) {
    const store = await SqliteSpendingStore.open(folder, { create: true })
    for (let next = 0; ; next += 10) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          await store.putReply(keyOf(next + index), paidReply(`reply ${next + index} ${'x '.repeat(500)}`))
          print({ kept: next + index })
        }),
      )
    }
  },

  /** Puts replies until the disk is full. */
  async fill([folder = '']) {
    const store = await SqliteSpendingStore.open(folder, { create: true })
    let kept = 0
    try {
      for (;;) {
        await store.putReply(keyOf(kept), paidReply(randomBytes(40_000).toString('latin1')))
        kept++
      }
    } catch (error) {
      print(describeError(error))
    }
    print({ kept, read: (await store.cacheSummary()).replies })
  },

  /** Takes part in a run: books turns, spends, and puts replies that others put too. */
  async work([folder = '', worker = '', count = '0']) {
    const store = await SqliteSpendingStore.open(folder, { create: true })
    const run = await store.joinRun(worker)
    print({ run })
    const waits: number[] = []
    for (let index = 0; index < Number(count); index++) {
      const amounts = [{ rate: { name: 'requests' as const, perMinute: 600 }, amount: 1 }]
      waits.push(Date.now() + (await store.bookTurn('main', amounts)))
      await store.putReply(keyOf(index), paidReply(`${worker} ${index}`))
      await store.spend(worker, run, { calls: 1, tokens: 10, usd: 0.5 })
    }
    await store.close()
    print({ waits })
  },
})
