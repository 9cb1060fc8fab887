const windowMs = 60_000

/** Fills at a steady rate up to its burst. */
export class TokenBucket {
  #level = Number.POSITIVE_INFINITY
  #filledAt = 0

  /** How long until one more is there, in ms; 0 where it is there now. */
  waitMs(rate: number, burst: number, now: number): number {
    this.#level = Math.min(burst, this.#level + (Math.max(0, now - this.#filledAt) / 1000) * rate)
    this.#filledAt = now
    return this.#level >= 1 ? 0 : ((1 - this.#level) / rate) * 1000
  }

  take(): void {
    this.#level -= 1
  }
}

/** The exact sum of the last 60 seconds. */
export class SlidingWindow {
  #entries: { time: number; amount: number }[] = []
  /** The first entry that still counts. */
  #first = 0
  #sum = 0

  add(amount: number, now: number): void {
    this.#entries.push({ time: now, amount })
    this.#sum += amount
  }

  sum(now: number): number {
    for (let entry = this.#entries[this.#first]; entry && entry.time <= now - windowMs; ) {
      this.#sum -= entry.amount
      entry = this.#entries[++this.#first]
    }
    if (this.#first > 1_000 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
    return this.#sum
  }

  /** How long until this amount fits under the limit, in ms; an amount above the limit itself waits for an empty one. */
  waitMs(amount: number, limit: number, now: number): number {
    let excess = this.sum(now) + amount - limit
    if (excess <= 0) return 0
    for (let index = this.#first; index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (!entry) break
      excess -= entry.amount
      if (excess <= 0) return entry.time + windowMs - now
    }
    return this.resetMs(now) || windowMs
  }

  /** How long until it is empty, in ms. */
  resetMs(now: number): number {
    const last = this.sum(now) > 0 ? this.#entries.at(-1) : undefined
    return last ? last.time + windowMs - now : 0
  }
}
