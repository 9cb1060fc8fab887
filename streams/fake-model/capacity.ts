import { SlidingWindow, TokenBucket } from './rates.ts'
import type { Phase } from './script.ts'

/** Why a call is refused, and after how long it would not be. */
export interface Refusal {
  message: string
  waitMs: number
}

/** What the endpoint can take; its limits are those of the phase. Calls that it refuses do not count. */
export class Capacity {
  readonly #bucket = new TokenBucket()
  readonly #requests = new SlidingWindow()
  readonly #tokens = new SlidingWindow()

  /** Books a call, unless a limit stands against it. */
  take(phase: Phase, open: number, tokens: number, now: number): Refusal | null {
    const refusal = this.refusal(phase, open, tokens, now)
    if (refusal) return refusal
    this.#bucket.take()
    this.#requests.add(1, now)
    this.#tokens.add(tokens, now)
    return null
  }

  /** The limit that stands against a call, if one does. */
  refusal(phase: Phase, open: number, tokens: number, now: number): Refusal | null {
    const { requestsPerSecond, burst, requestsPerMinute, tokensPerMinute, maxConcurrent } = phase
    if (maxConcurrent !== undefined && open >= maxConcurrent)
      return refused('concurrent requests', maxConcurrent, 1_000)
    const second = this.#bucket.waitMs(
      requestsPerSecond ?? Number.POSITIVE_INFINITY,
      burst ?? Math.max(1, requestsPerSecond ?? 1),
      now,
    )
    if (requestsPerSecond !== undefined && second > 0) return refused('requests per second', requestsPerSecond, second)
    const minute = requestsPerMinute === undefined ? 0 : this.#requests.waitMs(1, requestsPerMinute, now)
    if (minute > 0) return refused('requests per min (RPM)', requestsPerMinute, minute)
    const forTokens = tokensPerMinute === undefined ? 0 : this.#tokens.waitMs(tokens, tokensPerMinute, now)
    return forTokens > 0 ? refused('tokens per min (TPM)', tokensPerMinute, forTokens) : null
  }

  /** The headers that OpenAI sends: limits of a minute, what is left of them, and when they are whole again. */
  headers({ requestsPerMinute, tokensPerMinute }: Phase, now: number): Record<string, string> {
    return {
      ...headersOf('requests', this.#requests, requestsPerMinute, now),
      ...headersOf('tokens', this.#tokens, tokensPerMinute, now),
    }
  }
}

function refused(what: string, limit: number | undefined, waitMs: number): Refusal {
  return { message: `Rate limit reached on ${what}: limit ${limit}. Please try again later.`, waitMs }
}

function headersOf(
  what: string,
  window: SlidingWindow,
  limit: number | undefined,
  now: number,
): Record<string, string> {
  if (limit === undefined) return {}
  return {
    [`x-ratelimit-limit-${what}`]: String(limit),
    [`x-ratelimit-remaining-${what}`]: String(Math.max(0, Math.floor(limit - window.sum(now)))),
    [`x-ratelimit-reset-${what}`]: duration(window.resetMs(now)),
  }
}

/** As OpenAI writes it: `120ms`, `7.66s`, `6m0s`. */
function duration(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 10) / 100
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${Math.round((seconds % 60) * 100) / 100}s`
}
