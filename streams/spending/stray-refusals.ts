/** Fewer calls from one refusal to the next are too few: a limit that is exceeded by a tenth refuses so often. */
const aloneCalls = 12
/** Decreases that ended nothing, after which refusals are strays: one may have left a rate just above a limit. */
const vainDecreases = 2
/** Share of strays that is assumed until one is known, and the suspicion at which they are none: two or three in a row. */
const assumed = { share: 0.03, suspicion: 3 }
/** Shares below are none, shares beyond are those of a limit. */
const shares = { least: 0.001, most: 0.1 }
/** Calls from which on older ones count half. */
const rememberedCalls = 1_000
/** Known strays may be taken for a limit about so often. */
const falseAlarmSeconds = 15
/** How long the next stray is waited for: so many calls, within bounds of time. */
const watch = { calls: 100, leastMs: 4_000, mostMs: 12_000 }

/** A call that was refused. */
export interface Refusal {
  now: number
  /** Calls begun since the refused one before, or since the last decrease, this one included. */
  gap: number
  /** Whether it was begun at a rate below the one that was refused last. */
  isBelow: boolean
  /** Calls a second that were allowed when it was refused. */
  perSecond: number
}

/** `unclear`: it leads to a decrease, which may have to be taken back. */
export type Cause = 'stray' | 'unclear' | 'limit'

/**
 * Tells refusals that have nothing to do with the rate from those of a limit. Pure: the time is told.
 *
 * Where refusals stand alone, a limit is exceeded by less than a tenth, so that a decrease by a tenth must end them:
 * where they go on as before, twice, they are strays. From then on their share is borne at any rate, and a limit is
 * only what refuses more of the last calls: a sequential test (CUSUM) of the gaps between refusals.
 */
export class StrayRefusals {
  /** Calls at a rate that a limit would not refuse, and strays among them. */
  #calls = 0
  #strays = 0
  #areKnown = false
  /** Refusals that are strays if no others follow them at once. */
  #pending = 0
  #vain = 0
  #watched = { calls: 0, from: 0 }
  /** Logarithm of how much more probable a limit is by the last calls than strays are. */
  #suspicion = 0

  /** Share of calls that are refused at any rate; 0 where none is known. */
  get share(): number {
    return this.#areKnown ? Math.min(shares.most, this.#strays / this.#calls) : 0
  }

  /** Whether the rate is to stay as it is, so that the next refusals tell what they are. */
  get isWatching(): boolean {
    return !this.#areKnown && (this.#pending > 0 || this.#vain > 0)
  }

  /** A call was begun. @param isBelow - As of a refusal. */
  begun(now: number, isBelow: boolean): void {
    if (this.isWatching) this.#watch(now)
    if (!isBelow || ++this.#calls < rememberedCalls) return
    this.#calls /= 2
    this.#strays /= 2
    if (this.share < shares.least) this.#forget()
  }

  /** A call was refused. @returns What for. */
  judge(refusal: Refusal): Cause {
    return this.#areKnown ? this.#compare(refusal) : this.#learn(refusal)
  }

  #learn({ gap, isBelow, now }: Refusal): Cause {
    if (!isBelow || this.#isSuspect(gap, assumed.share, assumed.suspicion)) {
      this.#forget()
      return 'unclear'
    }
    this.#strays++
    this.#watched = { calls: 0, from: now }
    // The gap before the first one tells nothing: an endpoint may take some calls at once after a pause.
    if (++this.#pending === 1) return 'stray'
    this.#pending = 0
    this.#suspicion = 0
    if (gap < aloneCalls || ++this.#vain < vainDecreases) return 'unclear'
    this.#areKnown = true
    return 'stray'
  }

  #compare({ gap, isBelow, perSecond }: Refusal): Cause {
    if (gap >= aloneCalls) {
      this.#strays += this.#pending
      this.#pending = 0
    }
    if (isBelow) this.#pending++
    const most = Math.log(Math.max(1, perSecond) * falseAlarmSeconds)
    if (!this.#isSuspect(gap, Math.max(this.share, shares.least), most)) return 'stray'
    this.#pending = 0
    return 'limit'
  }

  /** Whether refusals are more than a share of strays explains. */
  #isSuspect(gap: number, share: number, most: number): boolean {
    const limit = Math.min(0.5, 0.1 + 3 * share)
    const passed = (gap - 1) * Math.log((1 - limit) / (1 - share))
    this.#suspicion = Math.max(0, this.#suspicion + passed) + Math.log(limit / share)
    if (this.#suspicion < most) return false
    this.#suspicion = 0
    return true
  }

  /** Where no further one comes, the decrease has ended them. */
  #watch(now: number): void {
    const calls = ++this.#watched.calls
    const ms = now - this.#watched.from
    if (ms > watch.leastMs && (calls > watch.calls || ms > watch.mostMs)) this.#forget()
  }

  #forget(): void {
    this.#calls = 0
    this.#strays = 0
    this.#areKnown = false
    this.#pending = 0
    this.#vain = 0
    this.#suspicion = 0
  }
}
