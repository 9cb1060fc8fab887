import type { PaidReply, Spending } from '../store.ts'
import { add, nothing, spendingOf } from './sums.ts'

/** What was counted last may be lost with the process: no more than of this time. */
const everyMs = 1000

/** Counts replies that were served instead of a call, and writes what they saved, many at once. */
export class ServedCounter {
  readonly #write: (served: Spending) => Promise<unknown>
  #served: Spending = nothing
  #timer: NodeJS.Timeout | null = null

  constructor(write: (served: Spending) => Promise<unknown>) {
    this.#write = write
  }

  count(reply: PaidReply): void {
    this.#served = add(this.#served, spendingOf(reply))
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.flush().catch(() => undefined)
    }, everyMs).unref()
  }

  /** Writes what is counted; what can't be written stays counted. */
  async flush(): Promise<void> {
    const served = this.#served
    if (served.calls === 0) return
    this.#served = nothing
    try {
      await this.#write(served)
    } catch (error) {
      this.#served = add(this.#served, served)
      throw error
    }
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer)
  }
}
