/** A small generator with a seed: the same seed gives the same numbers (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** From 0 up to, and without, the limit. */
  integer(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  pick(choices: readonly string[]): string {
    return choices[this.integer(choices.length)] ?? ''
  }

  /** Distinct choices, in no order. */
  pickSome(choices: readonly string[], count: number): string[] {
    const left = [...choices]
    return Array.from(
      { length: Math.min(count, left.length) },
      () => left.splice(this.integer(left.length), 1)[0] ?? '',
    )
  }
}
