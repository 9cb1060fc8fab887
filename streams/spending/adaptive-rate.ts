/** The first ramp: where it begins, and how long it takes to double. At 200 a second it has cost 0.4 s. */
const startPerSecond = 20
const doublingMs = 200
const leastPerSecond = 1 / 60
const mostPerSecond = 1e6
/** A decrease shows in the answers only after a while: until then no further one. */
const settlingMs = 250
/** Below this busy time since the last decrease, a refusal says that it was not enough. */
const provenMs = 1_500
/** What is left of the rate that was refused. */
const decrease = 0.9
const steepestDecrease = 0.5
/** How long the rate stays below the one that was refused. */
const plateauMs = 12_000
/** Beyond the plateau the rate doubles after this time, then faster: five times the rate after 6 seconds. */
const probingMs = 3_500
const probingPower = 1.5
/** What a busy process is late by may be caught up with, up to this: an endpoint that was not called has room. */
const catchUpMs = 250
/** Time for which one call lets the rate grow, in intervals: a long wait for something else tells nothing of it. */
const grownIntervals = 4
const measuredMs = 2_000
/** Fewer than these tell no rate. */
const fewCalls = 10
const rememberedCalls = 1_024

/**
 * Finds the rate of calls that an endpoint takes, by its refusals alone (429). Pure: the time is told.
 *
 * As long as nothing was refused the rate only grows, fast. At a refusal it goes a tenth below the rate that was
 * refused, further where that is not enough; then, as in CUBIC (RFC 9438), back up towards it, slowly past it, and
 * faster the longer nothing is refused. It grows only while calls wait for it: what nobody used is not known to work.
 */
export class AdaptiveRate {
  #perSecond = startPerSecond
  /** The rate that was refused last; null before the first refusal. */
  #ceiling: number | null = null
  /** What the last decrease left of the ceiling. */
  #factor = 1
  /** Time since the last decrease in which calls waited for the rate. */
  #busyMs = 0
  #decreasedAt = Number.NEGATIVE_INFINITY
  #takenSince = 0
  #refusedSince = 0
  /** When the next call is due. */
  #dueAt = Number.NEGATIVE_INFINITY
  #takenAt = Number.NEGATIVE_INFINITY
  readonly #taken = new Float64Array(rememberedCalls).fill(Number.NEGATIVE_INFINITY)
  #calls = 0

  /** Calls a second, as far as is known now. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Whether a call was ever refused. */
  get isLimited(): boolean {
    return this.#ceiling !== null
  }

  /** Milliseconds until a call may begin. */
  waitMs(now: number): number {
    return Math.max(0, this.#dueAt - now)
  }

  /**
   * A call begins.
   *
   * @param isPaced - Whether it had to wait for the rate: otherwise it tells nothing of it.
   */
  take(now: number, isPaced: boolean): void {
    if (isPaced) this.#grow(Math.min(now - this.#takenAt, (grownIntervals * 1000) / this.#perSecond))
    this.#dueAt = Math.max(this.#dueAt, now - catchUpMs) + 1000 / this.#perSecond
    this.#takenAt = now
    this.#takenSince++
    this.#taken[this.#calls++ % rememberedCalls] = now
  }

  /**
   * A call was refused for the rate.
   *
   * @param begun - When it began: of those that were under way at a decrease, none leads to another one.
   */
  refused(begun: number, now: number): void {
    if (begun < this.#decreasedAt) return
    this.#refusedSince++
    if (now - this.#decreasedAt < settlingMs) return
    const isFirst = this.#ceiling === null
    const isProven = this.#busyMs >= provenMs
    if (isFirst) this.#decrease(this.#firstCeiling(now), decrease, now)
    else if (isProven) this.#decrease(this.#refusedRate(now), decrease, now)
    else this.#decrease(this.#perSecond, this.#acceptedShare, now)
    // What is under way will be refused too: more would only be more of it.
    if (isFirst || !isProven) this.#dueAt = Math.max(this.#dueAt, now + settlingMs)
  }

  /** A ramp ends far above what the endpoint takes, where it takes some at once. */
  #firstCeiling(now: number): number {
    const { calls, perSecond } = this.#measure(now, 1_000)
    return Math.min(this.#perSecond / 2, calls < fewCalls ? Infinity : perSecond)
  }

  /** Of the calls since the last decrease. */
  get #acceptedShare(): number {
    const share = 1 - this.#refusedSince / Math.max(1, this.#takenSince)
    return Math.min(decrease, Math.max(steepestDecrease, share))
  }

  #decrease(ceiling: number, factor: number, now: number): void {
    this.#ceiling = Math.max(leastPerSecond, ceiling)
    this.#factor = factor
    this.#perSecond = Math.max(leastPerSecond, this.#ceiling * factor)
    this.#busyMs = 0
    this.#decreasedAt = now
    this.#takenSince = 0
    this.#refusedSince = 0
    this.#dueAt = Math.max(this.#dueAt, now + 1000 / this.#perSecond)
  }

  #grow(ms: number): void {
    this.#busyMs += ms
    this.#perSecond = Math.min(mostPerSecond, this.#rateAt(this.#busyMs))
  }

  /** @param busyMs - Time since the last decrease. */
  #rateAt(busyMs: number): number {
    if (this.#ceiling === null) return startPerSecond * 2 ** (busyMs / doublingMs)
    if (busyMs < plateauMs) return this.#ceiling * (1 - (1 - this.#factor) * (1 - busyMs / plateauMs) ** 3)
    return this.#ceiling * 2 ** (((busyMs - plateauMs) / probingMs) ** probingPower)
  }

  /** The calls need not have been as many as were allowed. One too many is better than one too few. */
  #refusedRate(now: number): number {
    return Math.min(this.#perSecond, this.#measure(now, measuredMs).perSecond + 1000 / measuredMs)
  }

  /** What began in the last so many milliseconds. */
  #measure(now: number, ms: number): { calls: number; perSecond: number } {
    const recent = this.#taken.filter(time => time > now - ms)
    const span = recent.length < rememberedCalls ? ms : Math.max(1, now - Math.min(...recent))
    return { calls: recent.length, perSecond: (recent.length / span) * 1000 }
  }
}
