import type { Phase, Script } from './script.ts'

/** Which phase of a script holds at a time. The last one never ends. */
export class Timeline {
  readonly #phases: readonly Phase[]
  readonly #starts: readonly number[]
  #begin: number | null = null

  constructor({ phases }: Script) {
    this.#phases = phases
    let time = 0
    this.#starts = phases.map(({ forSeconds = 0 }) => {
      const start = time
      time += forSeconds * 1000
      return start
    })
  }

  get hasBegun(): boolean {
    return this.#begin !== null
  }

  begin(now: number): void {
    this.#begin ??= now
  }

  at(now: number): Phase {
    const elapsed = now - (this.#begin ?? now)
    const index = this.#starts.findLastIndex(start => start <= elapsed)
    const phase = this.#phases[Math.max(0, index)]
    if (!phase) throw new Error('a script without a phase')
    return phase
  }

  /** How long until the next phase begins, in ms; null in the last one. */
  msToNext(now: number): number | null {
    const elapsed = now - (this.#begin ?? now)
    const next = this.#starts.find(start => start > elapsed)
    return next === undefined ? null : next - elapsed
  }
}
