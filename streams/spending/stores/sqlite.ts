import { randomUUID } from 'node:crypto'
import { Database } from '../../sqlite/database.ts'
import { WriteGroup } from '../../sqlite/write-group.ts'
import type { CacheSummary, PaidReply, Rate, Spending, SpendingStore } from '../store.ts'
import { type Bucket, book, settle } from '../turns.ts'
import { type PackedReply, packReply, unpackReply } from './packed-reply.ts'
import { ServedCounter } from './served-counter.ts'
import { spendingLayout } from './sqlite-layout.ts'
import { aliveMs, dayOf, keepRunsMs, nothing } from './sums.ts'

export interface SqliteSpendingOptions {
  /** Make folder and file where they are not there. */
  create: boolean
  /** For commands that only look. Default false. */
  readOnly?: boolean
  /** How long a write waits for other processes before DATA_IN_USE; default 30,000. */
  lockTimeoutMs?: number
  now?: () => number
}

/** Deletes in steps, so that other processes can write in between. */
const stepReplies = 500

/**
 * Shares money among the processes of one machine, in the file `spending.db` of the data folder.
 *
 * What was written outlives the death of the process, not that of the machine in the last moments before.
 */
export class SqliteSpendingStore implements SpendingStore {
  readonly name = 'sqlite'
  readonly #database: Database
  readonly #group: WriteGroup
  readonly #now: () => number
  readonly #served: ServedCounter
  #closing: Promise<void> | null = null

  private constructor(database: Database, now: () => number) {
    this.#database = database
    this.#group = new WriteGroup(database)
    this.#now = now
    this.#served = new ServedCounter(({ calls, tokens, usd }) =>
      this.#group.write(() => {
        this.#database
          .statement('UPDATE counter SET times = times + ?, tokens = tokens + ?, usd = usd + ?')
          .run(calls, tokens, usd)
      }),
    )
  }

  /** @throws {SituError} DATA_UNREADABLE, DATA_CORRUPT, DATA_VERSION, DATA_IN_USE, DISK_FULL; each names the file. */
  static async open(folder: string, options: SqliteSpendingOptions): Promise<SqliteSpendingStore> {
    const { create, readOnly = false, lockTimeoutMs = 30_000, now = Date.now } = options
    const database = await Database.open(folder, spendingLayout, { create, readOnly, lockTimeoutMs })
    return new SqliteSpendingStore(database, now)
  }

  async getReply(key: string): Promise<PaidReply | null> {
    const row = await this.#database.readOne(() =>
      this.#database
        .statement<PackedReply>('SELECT form, size, value AS bytes FROM reply WHERE key = ? AND rejected = 0')
        .get(keyBytes(key)),
    )
    return row ? unpackReply(row, `${this.#database.path}, reply ${key}`) : null
  }

  async putReply(key: string, reply: PaidReply): Promise<void> {
    const { form, size, bytes } = packReply(reply)
    await this.#group.write(() => {
      this.#database
        .statement(
          `INSERT INTO reply (key, time, rejected, form, size, value) VALUES (?, ?, 0, ?, ?, ?)
           ON CONFLICT (key) WHERE rejected = 0 DO NOTHING`,
        )
        .run(keyBytes(key), reply.time, form, size, bytes)
    })
  }

  countServed(reply: PaidReply): void {
    this.#served.count(reply)
  }

  async rejectReplies(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    await this.#group.write(() => {
      const statement = this.#database.statement('UPDATE reply SET rejected = 1 WHERE key = ? AND rejected = 0')
      for (const key of keys) statement.run(keyBytes(key))
    })
  }

  async cacheSummary(): Promise<CacheSummary> {
    await this.#served.flush()
    return this.#database.read(() => {
      const row = this.#database
        .statement<Omit<CacheSummary, 'served'>>(
          `SELECT count(*) - coalesce(sum(rejected), 0) AS replies, coalesce(sum(length(value)), 0) AS bytes,
             coalesce(sum(rejected), 0) AS rejected, min(time) AS oldest FROM reply`,
        )
        .get()
      const served = this.#database.statement<CacheSummary['served']>('SELECT times, tokens, usd FROM counter').get()
      const none = { replies: 0, bytes: 0, rejected: 0, oldest: null }
      return { ...none, ...row, served: { times: 0, tokens: 0, usd: 0, ...served } }
    })
  }

  async clearReplies(before: number): Promise<number> {
    let deleted = 0
    for (let count = stepReplies; count === stepReplies; deleted += count) {
      count = await this.#group.write(() => {
        const statement = this.#database.statement(
          'DELETE FROM reply WHERE id IN (SELECT id FROM reply WHERE time < ? ORDER BY time LIMIT ?)',
        )
        return Number(statement.run(before, stepReplies).changes)
      })
    }
    if (deleted > 0) await this.#database.shrink()
    return deleted
  }

  async bookTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<number> {
    return this.#group.write(() => {
      const now = this.#now()
      const bookings = amounts.map(one => ({ ...one, bucket: this.#bucket(endpoint, one.rate) }))
      const { at, buckets } = book(bookings, now)
      for (const [index, { rate }] of amounts.entries()) this.#keepBucket(endpoint, rate, buckets[index])
      return at - now
    })
  }

  async settleTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<void> {
    await this.#group.write(() => {
      for (const { rate, amount } of amounts) {
        const bucket = this.#bucket(endpoint, rate)
        if (bucket) this.#keepBucket(endpoint, rate, settle(bucket, amount))
      }
    })
  }

  #bucket(endpoint: string, { name }: Rate): Bucket | null {
    const statement = this.#database.statement<Bucket>(
      'SELECT level, at, asked, burst, raisedUntil FROM bucket WHERE endpoint = ? AND rate = ?',
    )
    return statement.get(endpoint, name) ?? null
  }

  #keepBucket(endpoint: string, { name }: Rate, bucket: Bucket | undefined): void {
    if (!bucket) return
    const { level, at, asked, burst, raisedUntil } = bucket
    this.#database
      .statement('INSERT OR REPLACE INTO bucket VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(endpoint, name, level, at, asked, burst, raisedUntil)
  }

  joinRun(worker: string): Promise<string> {
    const fresh = randomUUID()
    return this.#group.write(() => {
      const now = this.#now()
      this.#database.statement('DELETE FROM worker WHERE seen < ?').run(now - aliveMs)
      this.#database.statement(`DELETE FROM spent WHERE kind = 'run' AND time < ?`).run(now - keepRunsMs)
      const other = this.#database.statement('SELECT run FROM worker LIMIT 1').get()
      const run = other ? String(other.run) : fresh
      this.#seen(worker, run, now)
      return run
    })
  }

  async leaveRun(worker: string): Promise<void> {
    await this.#group.write(() => {
      this.#database.statement('DELETE FROM worker WHERE name = ?').run(worker)
    })
  }

  spend(worker: string, run: string, spending: Spending): Promise<{ run: Spending; day: Spending }> {
    return this.#group.write(() => {
      const now = this.#now()
      this.#seen(worker, run, now)
      return { run: this.#spent('run', run, now, spending), day: this.#spent('day', dayOf(now), now, spending) }
    })
  }

  #seen(worker: string, run: string, now: number): void {
    this.#database.statement('INSERT OR REPLACE INTO worker VALUES (?, ?, ?)').run(worker, run, now)
  }

  #spent(kind: 'run' | 'day', name: string, now: number, { calls, tokens, usd }: Spending): Spending {
    const row = this.#database
      .statement<Spending>(
        `INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET time = excluded.time,
           calls = calls + excluded.calls, tokens = tokens + excluded.tokens, usd = usd + excluded.usd
         RETURNING calls, tokens, usd`,
      )
      .get(kind, name, now, calls, tokens, usd)
    return { ...nothing, ...row }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#served.stop()
    // Savings are a figure to look at: no reason to let the end of a run fail.
    await this.#served.flush().catch(() => undefined)
    await this.#database.close()
  }
}

/** Keys are hashes in hex: half as long as bytes. */
function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'hex')
}
