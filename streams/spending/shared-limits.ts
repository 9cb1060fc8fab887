import type { RateLimit, Usage } from '../../operators/model.ts'
import type { Rate, RateStore } from './store.ts'

/** What is used of a limit: estimates err until they are settled, and calls arrive later than they began. */
const usedShare = 0.97
const minuteMs = 60_000
/** A limit that takes longer than this to be whole again is none per minute, whatever its name. */
const longestResetMs = minuteMs + 1_000

export interface LimitsPerMinute {
  requestsPerMinute?: number
  tokensPerMinute?: number
}

/** A turn that was booked, until it is settled. */
export interface BookedTurn {
  tokens: number
  /** Limits as they were when it was booked. */
  rates: readonly Rate[]
  /** Milliseconds from the booking until it may be used. */
  waitMs: number
}

/** Requests and tokens per minute of one endpoint and model, for all workers together. */
export class SharedLimits {
  readonly #store: RateStore
  readonly #key: string
  readonly #configured: LimitsPerMinute
  readonly #learnt = new Map<Rate['name'], number>()
  readonly #notPerMinute = new Set<Rate['name']>()

  /** @param key - Endpoint and model: what all workers know the limits by. */
  constructor(store: RateStore, key: string, configured: LimitsPerMinute) {
    this.#store = store
    this.#key = key
    this.#configured = configured
  }

  /** The limits as they are used; none where none is known. */
  get rates(): Rate[] {
    const { requestsPerMinute, tokensPerMinute } = this.#configured
    const limits = [
      { name: 'requests' as const, limit: requestsPerMinute ?? this.#learnt.get('requests') },
      { name: 'tokens' as const, limit: tokensPerMinute ?? this.#learnt.get('tokens') },
    ]
    return limits.flatMap(({ name, limit }) => (limit === undefined ? [] : [{ name, perMinute: limit * usedShare }]))
  }

  /** Takes over what the endpoint tells, where nothing is configured. */
  learn(limits: readonly RateLimit[]): void {
    for (const { name, limit, resetMs } of limits) {
      if (resetMs > longestResetMs) this.#notPerMinute.add(name)
      if (this.#notPerMinute.has(name)) this.#learnt.delete(name)
      else if (limit > 0) this.#learnt.set(name, limit)
    }
  }

  async book(tokens: number): Promise<BookedTurn> {
    const { rates } = this
    const waitMs = await this.#store.bookTurn(this.#key, amounts(rates, 1, tokens))
    return { tokens, rates, waitMs }
  }

  /** Corrects a turn by what was used; null where that is not known. */
  async settle({ rates, tokens }: BookedTurn, used: number | null): Promise<void> {
    const tokenRates = rates.filter(({ name }) => name === 'tokens')
    if (used === null || used === tokens || tokenRates.length === 0) return
    await this.#store.settleTurn(this.#key, amounts(tokenRates, 0, used - tokens))
  }

  /** Gives a turn back that was not used in time. */
  async unbook({ rates, tokens }: BookedTurn): Promise<void> {
    await this.#store.settleTurn(this.#key, amounts(rates, -1, -tokens))
  }

  /** The limit that a turn of this size uses most of. */
  tightest(tokens: number): Rate['name'] | null {
    const shares = this.rates.map(({ name, perMinute }) => ({
      name,
      share: (name === 'tokens' ? tokens : 1) / perMinute,
    }))
    return shares.sort((left, right) => right.share - left.share)[0]?.name ?? null
  }
}

function amounts(rates: readonly Rate[], requests: number, tokens: number): { rate: Rate; amount: number }[] {
  return rates.map(rate => ({ rate, amount: rate.name === 'tokens' ? tokens : requests }))
}

export function tokensOf(usage: Usage | null): number | null {
  return usage && usage.promptTokens + usage.completionTokens
}
