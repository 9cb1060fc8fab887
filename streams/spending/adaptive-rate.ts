import { StrayRefusals } from './stray-refusals.ts'

/** The first ramp: where it begins, and how long it takes to double. At 200 a second it has cost 0.8 s. */
const startPerSecond = 20
const doublingMs = 400
const leastPerSecond = 1 / 60
const mostPerSecond = 1e6
/** A decrease shows in the answers only after a while: until then no further one. */
const settlingMs = 250
/** Below this busy time since the last decrease, a refusal says that it was not enough. */
const provenMs = 1_500
/** What is left of the rate that was refused. */
const decrease = 0.9
const steepestDecrease = 0.5
/** Among strays a limit shows only where it is exceeded by some calls: what it takes, of the rate that was refused. */
const shownShare = 0.95
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
const rememberedRefusals = 32

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
  /** Number of the call that was refused last, or that was the last before a decrease. */
  #refusedCall = Number.NEGATIVE_INFINITY
  readonly #refusedAt: number[] = []
  readonly #strays = new StrayRefusals()
  /** What held before decreases that may have been made for strays. */
  #former: { ceiling: number | null; factor: number; busyMs: number } | null = null
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
    if (isPaced && !this.#strays.isWatching)
      this.#grow(Math.min(now - this.#takenAt, (grownIntervals * 1000) / this.#perSecond))
    this.#dueAt = Math.max(this.#dueAt, now - catchUpMs) + 1000 / this.#perSecond
    this.#takenAt = now
    this.#takenSince++
    this.#taken[this.#calls++ % rememberedCalls] = now
    this.#strays.begun(now, this.#isBelow(now, now))
  }

  /**
   * A call was refused for the rate.
   *
   * @param begun - When it began: of those that were under way at a decrease, none leads to another one.
   */
  refused(begun: number, now: number): void {
    if (begun < this.#decreasedAt) return
    this.#refusedSince++
    const call = this.#callAt(begun)
    const [gap, isBelow] = [call - this.#refusedCall, this.#isBelow(begun, now)]
    this.#refusedCall = call
    this.#refusedAt.push(now)
    if (this.#refusedAt.length > rememberedRefusals) this.#refusedAt.shift()
    const cause = this.#strays.judge({ now, gap, isBelow, perSecond: this.#perSecond })
    if (cause === 'stray' && this.#strays.share > 0) this.#restore()
    if (cause === 'stray') return
    if (now - this.#decreasedAt < settlingMs) return
    if (cause === 'limit') this.#former = null
    else if (!isBelow || !this.#former)
      this.#former = { ceiling: this.#ceiling, factor: this.#factor, busyMs: this.#busyMs }
    const isFirst = this.#ceiling === null && this.#strays.share === 0
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

  /** Whether a call was begun at a rate that a limit would not have refused. */
  #isBelow(begun: number, now: number): boolean {
    return this.#ceiling === null ? this.#strays.share > 0 : this.#busyMs - (now - begun) < plateauMs / 2
  }

  /** Number of the last call that was begun by then. */
  #callAt(begun: number): number {
    let call = this.#calls - 1
    while (call > this.#calls - rememberedCalls && (this.#taken[call % rememberedCalls] ?? 0) > begun) call--
    return call
  }

  /** Takes decreases back that were made for strays. */
  #restore(): void {
    if (!this.#former) return
    this.#ceiling = this.#former.ceiling
    this.#factor = this.#former.factor
    this.#busyMs = this.#former.busyMs
    this.#former = null
    this.#perSecond = this.#rateAt(this.#busyMs)
  }

  #decrease(ceiling: number, factor: number, now: number): void {
    this.#ceiling = Math.max(leastPerSecond, ceiling)
    this.#factor = factor
    this.#perSecond = Math.max(leastPerSecond, this.#ceiling * factor)
    this.#busyMs = 0
    this.#decreasedAt = now
    this.#refusedCall = this.#calls - 1
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
    const refused = this.#refusedAt.filter(time => time > now - measuredMs).length
    const accepted = this.#measure(now, measuredMs).perSecond - ((refused - 2) * 1000) / measuredMs
    return Math.min(this.#perSecond, accepted) * (this.#strays.share > 0 ? shownShare : 1)
  }

  /** What began in the last so many milliseconds. */
  #measure(now: number, ms: number): { calls: number; perSecond: number } {
    const recent = this.#taken.filter(time => time > now - ms)
    const span = recent.length < rememberedCalls ? ms : Math.max(1, now - Math.min(...recent))
    return { calls: recent.length, perSecond: (recent.length / span) * 1000 }
  }
}
