import { randomUUID } from 'node:crypto'
import type { CacheSummary, PaidReply, Rate, Spending, SpendingStore } from '../store.ts'
import { type Bucket, book, settle } from '../turns.ts'
import { joinPacked, packReply } from './packed-reply.ts'
import { add, aliveMs, dayOf, nothing, spendingOf } from './sums.ts'

/** Shares money within one process, and ends with it: for tests and for the demo. */
export class MemorySpendingStore implements SpendingStore {
  readonly name = 'memory'
  readonly #now: () => number
  readonly #replies = new Map<string, { reply: PaidReply; bytes: number }>()
  #rejected: { reply: PaidReply; bytes: number }[] = []
  #served: Spending = nothing
  readonly #buckets = new Map<string, Bucket>()
  readonly #workers = new Map<string, { run: string; seen: number }>()
  readonly #sums = new Map<string, Spending>()

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now
  }

  async getReply(key: string): Promise<PaidReply | null> {
    const found = this.#replies.get(key)
    return found ? structuredClone(found.reply) : null
  }

  async putReply(key: string, reply: PaidReply): Promise<void> {
    if (this.#replies.has(key)) return
    this.#replies.set(key, { reply: structuredClone(reply), bytes: joinPacked(packReply(reply)).length })
  }

  countServed(reply: PaidReply): void {
    this.#served = add(this.#served, spendingOf(reply))
  }

  async rejectReplies(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const found = this.#replies.get(key)
      if (found) this.#rejected.push(found)
      this.#replies.delete(key)
    }
  }

  async cacheSummary(): Promise<CacheSummary> {
    const kept = [...this.#replies.values(), ...this.#rejected]
    const { calls: times, tokens, usd } = this.#served
    return {
      replies: this.#replies.size,
      bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0),
      rejected: this.#rejected.length,
      oldest: kept.reduce<number | null>((least, { reply }) => Math.min(least ?? reply.time, reply.time), null),
      served: { times, tokens, usd },
    }
  }

  async clearReplies(before: number): Promise<number> {
    const old = [...this.#replies].filter(([, { reply }]) => reply.time < before)
    for (const [key] of old) this.#replies.delete(key)
    const kept = this.#rejected.filter(({ reply }) => reply.time >= before)
    const count = old.length + this.#rejected.length - kept.length
    this.#rejected = kept
    return count
  }

  async bookTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<number> {
    const now = this.#now()
    const names = amounts.map(({ rate }) => `${rate.name} ${endpoint}`)
    const bookings = amounts.map((one, index) => ({ ...one, bucket: this.#buckets.get(names[index] ?? '') ?? null }))
    const { at, buckets } = book(bookings, now)
    for (const [index, bucket] of buckets.entries()) this.#buckets.set(names[index] ?? '', bucket)
    return at - now
  }

  async settleTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<void> {
    for (const { rate, amount } of amounts) {
      const name = `${rate.name} ${endpoint}`
      const bucket = this.#buckets.get(name)
      if (bucket) this.#buckets.set(name, settle(bucket, amount))
    }
  }

  async joinRun(worker: string): Promise<string> {
    const now = this.#now()
    for (const [name, { seen }] of this.#workers) if (seen < now - aliveMs) this.#workers.delete(name)
    const [other] = this.#workers.values()
    const run = other?.run ?? randomUUID()
    this.#workers.set(worker, { run, seen: now })
    return run
  }

  async leaveRun(worker: string): Promise<void> {
    this.#workers.delete(worker)
  }

  async spend(worker: string, run: string, spending: Spending): Promise<{ run: Spending; day: Spending }> {
    const now = this.#now()
    this.#workers.set(worker, { run, seen: now })
    return { run: this.#add(`run ${run}`, spending), day: this.#add(`day ${dayOf(now)}`, spending) }
  }

  #add(name: string, spending: Spending): Spending {
    const sum = add(this.#sums.get(name) ?? nothing, spending)
    this.#sums.set(name, sum)
    return sum
  }

  async close(): Promise<void> {}
}
