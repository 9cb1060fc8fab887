import { describe, expect, it } from 'vitest'
import { Budget, type BudgetLimits } from '../../../streams/spending/budget.ts'
import { CallRefused } from '../../../streams/spending/caller.ts'
import { MemorySpendingStore } from '../../../streams/spending/stores/memory.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const none: BudgetLimits = { run: {}, day: {} }

async function open(limits: Partial<BudgetLimits>, clock = new VirtualClock(), store = storeOf(clock)) {
  return { budget: await Budget.open(store, { ...none, ...limits }, clock), clock, store }
}

function storeOf(clock: VirtualClock): MemorySpendingStore {
  return new MemorySpendingStore({ now: () => clock.now() })
}

/** Calls that are admitted before one is refused, each of which takes this when it ends. */
async function callsUntilRefused(budgets: readonly Budget[], tokens: number, usd: number, inFlight = 1) {
  for (let calls = 0; ; ) {
    for (const budget of budgets) {
      for (let open = 0; open < inFlight; open++) {
        try {
          await budget.admit()
        } catch (error) {
          expect(error).toBeInstanceOf(CallRefused)
          return calls
        }
        calls++
      }
    }
    for (const budget of budgets) for (let open = 0; open < inFlight; open++) await budget.settle(tokens, usd)
  }
}

describe('Budget', () => {
  it('refuses no call where there is no limit', async () => {
    const { budget } = await open({})
    for (let call = 0; call < 1_000; call++) {
      await budget.admit()
      await budget.settle(1_000_000, 1_000)
    }
    expect(budget.spent.aborted).toBe(false)
  })

  it('lets exactly so many calls through as --max-calls says, over all workers', async () => {
    const { budget, clock, store } = await open({ run: { calls: 10 } })
    const second = await open({ run: { calls: 10 } }, clock, store)
    expect(await callsUntilRefused([budget, second.budget], 1, 1, 3)).toBe(10)
  })

  it('passes a limit on money by the calls in flight at most, and names it', async () => {
    const { budget } = await open({ run: { usd: 1 } })
    // Ten calls of 0.3 at a time: one is 0.3, so 1 is reached in the first ten.
    expect(await callsUntilRefused([budget], 100, 0.3, 10)).toBe(10)
    expect(budget.spent.reason).toMatchObject({
      code: 'BUDGET_SPENT',
      message: '--max-usd 1: 10 calls, 1000 tokens, 3.0000 USD spent in this run',
    })
  })

  it('refuses at once where an earlier run of the day has spent what the day may cost', async () => {
    const day = { usd: 2 }
    const { budget, clock, store } = await open({ day })
    expect(await callsUntilRefused([budget], 0, 0.5)).toBe(4)
    await budget.close()
    const next = await open({ day }, clock, store)
    expect(await callsUntilRefused([next.budget], 0, 0.5)).toBe(0)
    expect(next.budget.spent.reason.message).toContain('--max-usd-per-day 2: 4 calls, 0 tokens, 2.0000 USD')
    await next.budget.close()
    await clock.advance(24 * 3_600_000)
    const later = await open({ day }, clock, store)
    expect(await callsUntilRefused([later.budget], 0, 0.5)).toBe(4)
  })

  it('begins anew with a run that begins when no worker is left', async () => {
    const run = { tokens: 100 }
    const { budget, clock, store } = await open({ run })
    expect(await callsUntilRefused([budget], 50, 0)).toBe(2)
    await budget.close()
    const next = await open({ run }, clock, store)
    expect(await callsUntilRefused([next.budget], 50, 0)).toBe(2)
  })

  it('writes down what no limit watches too, for the limits of others', async () => {
    const { budget, clock, store } = await open({})
    await budget.admit()
    await budget.settle(70, 0)
    await clock.advance(2_000)
    const limited = await open({ run: { tokens: 70 } }, clock, store)
    expect(await callsUntilRefused([limited.budget], 1, 0)).toBe(0)
  })

  it('ends calls with the error of a ledger that can not be written', async () => {
    const { budget, clock, store } = await open({})
    store.spend = () => Promise.reject(new Error('no ledger'))
    await clock.advance(2_000)
    await expect(budget.admit()).rejects.toThrow('no ledger')
  })
})
