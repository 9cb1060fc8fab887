import { randomUUID } from 'node:crypto'
import { SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'
import { CallRefused } from './caller.ts'
import type { Ledger, Spending } from './store.ts'

/** Limits for the workers of one run together, and for all on a day (UTC). */
export interface BudgetLimits {
  run: Partial<Spending>
  day: Partial<Spending>
}

/** How long spending that no limit watches may wait to be written down; also the worker's sign of life. */
const writeMs = 1_000

const names = ['usd', 'tokens', 'calls'] as const
const none: Spending = { calls: 0, tokens: 0, usd: 0 }

/**
 * Stops new calls where a limit is reached. Calls in flight then go on, so that a limit on money or tokens is passed by
 * those at most; one on calls is never passed.
 */
export class Budget {
  readonly #ledger: Ledger
  readonly #limits: BudgetLimits
  readonly #clock: Clock
  readonly #worker: string
  readonly #run: string
  readonly #spent = new AbortController()
  readonly #closing = new AbortController()
  #pending: Spending = { ...none }
  #writing: Promise<{ run: Spending; day: Spending }> | null = null
  #failure: unknown = null

  private constructor(ledger: Ledger, limits: BudgetLimits, clock: Clock, worker: string, run: string) {
    this.#ledger = ledger
    this.#limits = limits
    this.#clock = clock
    this.#worker = worker
    this.#run = run
    void this.#writeNowAndThen()
  }

  /** Enters this process into the run that is going on, or begins one. */
  static async open(ledger: Ledger, limits: BudgetLimits, clock: Clock): Promise<Budget> {
    const worker = randomUUID()
    return new Budget(ledger, limits, clock, worker, await ledger.joinRun(worker))
  }

  /** Aborted where a call was refused, with BUDGET_SPENT as the reason. */
  get spent(): AbortSignal {
    return this.#spent.signal
  }

  get isLimited(): boolean {
    return [this.#limits.run, this.#limits.day].some(limits => names.some(name => limits[name] !== undefined))
  }

  /**
   * Asked right before each call.
   *
   * @throws {CallRefused} A limit is reached: see `spent`.
   */
  async admit(): Promise<void> {
    if (this.#failure) throw this.#failure
    if (this.#spent.signal.aborted) throw new CallRefused()
    if (!this.isLimited) {
      this.#pending.calls++
      return
    }
    // Counted before it is judged, so that two workers can't both take the last call.
    const sums = await this.#ledger.spend(this.#worker, this.#run, { ...none, calls: 1 })
    const reached = this.#reached(sums)
    if (!reached) return
    await this.#ledger.spend(this.#worker, this.#run, { ...none, calls: -1 })
    this.#spent.abort(new SituError('BUDGET_SPENT', reached))
    throw new CallRefused()
  }

  /** Counts what a call took. */
  async settle(tokens: number, usd: number): Promise<void> {
    this.#pending.tokens += tokens
    this.#pending.usd += usd
    if (this.isLimited) await this.#write()
  }

  /** Writes down what is left and leaves the run. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#write()
    await this.#ledger.leaveRun(this.#worker)
  }

  #reached(sums: { run: Spending; day: Spending }): string | null {
    for (const period of ['run', 'day'] as const) {
      for (const name of names) {
        const limit = this.#limits[period][name]
        const sum = sums[period][name]
        // The call in question is counted already, its tokens and its price are not.
        if (limit === undefined || (name === 'calls' ? sum <= limit : sum < limit)) continue
        const { calls, tokens, usd } = sums[period]
        const flag = `--max-${name}${period === 'day' ? '-per-day' : ''} ${limit}`
        const spent = `${calls - 1} calls, ${tokens} tokens, ${usd.toFixed(4)} USD`
        return `${flag}: ${spent} spent ${period === 'day' ? 'today (UTC)' : 'in this run'}`
      }
    }
    return null
  }

  /** Those that come while one is written go together in the next one. */
  async #write(): Promise<void> {
    while (this.#writing) await this.#writing
    const pending = this.#takePending()
    if (names.every(name => pending[name] === 0)) return
    this.#writing = this.#ledger.spend(this.#worker, this.#run, pending)
    try {
      await this.#writing
    } finally {
      this.#writing = null
    }
  }

  async #writeNowAndThen(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      await this.#clock.sleep(writeMs, this.#closing.signal)
      if (this.#closing.signal.aborted) return
      try {
        await this.#ledger.spend(this.#worker, this.#run, this.#takePending())
      } catch (error) {
        // The next call meets it: money that is not written down must not be spent.
        this.#failure ??= error
      }
    }
  }

  #takePending(): Spending {
    const pending = this.#pending
    this.#pending = { ...none }
    return pending
  }
}
