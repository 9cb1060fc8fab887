const base = 0x01000193

/** Hashes of any part of a row of numbers, each in a few steps: those of its beginnings, one taken off the other. */
export class UnitHashes {
  readonly #beginnings: Uint32Array
  readonly #powers: Uint32Array

  constructor(numbers: Uint32Array) {
    this.#beginnings = new Uint32Array(numbers.length + 1)
    this.#powers = new Uint32Array(numbers.length + 1)
    this.#powers[0] = 1
    for (let at = 0; at < numbers.length; at += 1) {
      // Mixed, since small numbers in a row would give hashes near to each other.
      const mixed = Math.imul((numbers[at] ?? 0) ^ 0x5bd1e995, 0x9e3779b1)
      this.#beginnings[at + 1] = Math.imul(this.#beginnings[at] ?? 0, base) + (mixed ^ (mixed >>> 15))
      this.#powers[at + 1] = Math.imul(this.#powers[at] ?? 0, base)
    }
  }

  /** A 32-bit hash, unsigned. */
  of(start: number, end: number): number {
    return (
      ((this.#beginnings[end] ?? 0) - Math.imul(this.#beginnings[start] ?? 0, this.#powers[end - start] ?? 0)) >>> 0
    )
  }
}
