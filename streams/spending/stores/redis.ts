import { randomUUID } from 'node:crypto'
import type { CacheSummary, PaidReply, Rate, Spending, SpendingStore } from '../store.ts'
import { joinPacked, packReply, splitPacked, unpackReply } from './packed-reply.ts'
import { RedisConnection, type RedisConnectionOptions } from './redis-connection.ts'
import { type ScriptName, scripts } from './redis-scripts.ts'
import { ServedCounter } from './served-counter.ts'

export interface RedisSpendingOptions extends RedisConnectionOptions {
  /** Stands before each key: those who share it share money. */
  prefix: string
  /** Default: the clock of the server, which is one for all machines. */
  now?: () => number
}

const stepReplies = 500

/**
 * Shares money among the processes of several machines.
 *
 * What was written outlives this process. Whether it outlives Redis is a matter of how that was set up: `appendonly
 * yes` keeps it, and `maxmemory-policy noeviction` keeps Redis from forgetting replies that were paid.
 */
export class RedisSpendingStore implements SpendingStore {
  readonly name = 'redis'
  readonly #connection: RedisConnection
  readonly #prefix: string
  readonly #now: (() => number) | null
  readonly #served: ServedCounter
  #closing: Promise<void> | null = null

  private constructor(connection: RedisConnection, { prefix, now }: RedisSpendingOptions) {
    this.#connection = connection
    // In braces: a Redis of several machines keeps all of it in one place.
    this.#prefix = `{${prefix}}:spending`
    this.#now = now ?? null
    this.#served = new ServedCounter(({ calls, tokens, usd }) => this.#run('countServed', calls, tokens, usd))
  }

  /** @throws {SituError} CONFIGURATION_INVALID, SPENDING_UNREACHABLE, SPENDING_REFUSED; none names the password. */
  static async open(options: RedisSpendingOptions): Promise<RedisSpendingStore> {
    return new RedisSpendingStore(await RedisConnection.open(options), options)
  }

  async getReply(key: string): Promise<PaidReply | null> {
    const value = await this.#connection.get(`${this.#prefix}:reply:${key}`)
    return value && unpackReply(splitPacked(value), `${this.#connection.shown}, reply ${key}`)
  }

  async putReply(key: string, reply: PaidReply): Promise<void> {
    await this.#run('putReply', key, reply.time, joinPacked(packReply(reply)))
  }

  countServed(reply: PaidReply): void {
    this.#served.count(reply)
  }

  async rejectReplies(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.#run('rejectReplies', ...keys)
  }

  async cacheSummary(): Promise<CacheSummary> {
    await this.#served.flush()
    const [replies, rejected, bytes, oldest, oldestRejected, times, tokens, usd] = words(
      await this.#run('cacheSummary'),
    )
    const moments = [oldest, oldestRejected].filter(moment => moment).map(Number)
    return {
      replies: Number(replies),
      bytes: Number(bytes),
      rejected: Number(rejected),
      oldest: moments.length > 0 ? Math.min(...moments) : null,
      served: { times: Number(times), tokens: Number(tokens), usd: Number(usd) },
    }
  }

  async clearReplies(before: number): Promise<number> {
    let deleted = 0
    for (let count = 1; count > 0; deleted += count) {
      count = Number(await this.#run('clearReplies', before, stepReplies))
    }
    return deleted
  }

  async bookTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<number> {
    const rates = amounts.flatMap(({ rate, amount }) => [rate.name, rate.perMinute, amount])
    return Number(await this.#run('bookTurn', endpoint, ...rates))
  }

  async settleTurn(endpoint: string, amounts: readonly { rate: Rate; amount: number }[]): Promise<void> {
    const rates = amounts.flatMap(({ rate, amount }) => [rate.name, amount])
    await this.#run('settleTurn', randomUUID(), endpoint, ...rates)
  }

  async joinRun(worker: string): Promise<string> {
    return String(await this.#run('joinRun', worker, randomUUID()))
  }

  async leaveRun(worker: string): Promise<void> {
    await this.#run('leaveRun', worker)
  }

  async spend(worker: string, run: string, spending: Spending): Promise<{ run: Spending; day: Spending }> {
    const { calls, tokens, usd } = spending
    const sums = words(await this.#run('spend', randomUUID(), worker, run, calls, tokens, usd))
    return { run: toSpending(sums.slice(0, 3)), day: toSpending(sums.slice(3)) }
  }

  #run(name: ScriptName, ...given: (string | number | Buffer)[]): Promise<unknown> {
    const time = this.#now ? String(this.#now()) : ''
    const values = given.map(value => (typeof value === 'number' ? String(value) : value))
    return this.#connection.script(scripts[name], this.#prefix, [time, ...values])
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#served.stop()
    // Savings are a figure to look at: no reason to let the end of a run fail, or wait for a Redis that is away.
    if (this.#connection.isReady) await this.#served.flush().catch(() => undefined)
    await this.#connection.close()
  }
}

function words(answer: unknown): string[] {
  return Array.isArray(answer) ? answer.map(String) : []
}

function toSpending([calls, tokens, usd]: readonly string[]): Spending {
  return { calls: Number(calls), tokens: Number(tokens), usd: Number(usd) }
}
