/** Share of the places in use at which the table doubles. */
const fullness = 0.7
/** Values kept under one hash: those of a crowd (a thousand texts with one opening) would make each look-up slower. */
const mostEqual = 8

/**
 * A map from 32-bit hashes to numbers, several to a hash, in 8 bytes a place: open addressing over typed arrays.
 *
 * At a million records it needs a fifth of the memory of a Map, and no garbage collection walks through it.
 */
export class HashTable {
  #hashes = new Uint32Array(64)
  /** Value + 1; 0 for a free place. */
  #values = new Uint32Array(64)
  #used = 0

  /** Calls `visit` with each value under the hash. */
  each(hash: number, visit: (value: number) => void): void {
    const mask = this.#values.length - 1
    for (let place = home(hash, mask); this.#values[place] !== 0; place = (place + 1) & mask) {
      if (this.#hashes[place] === hash) visit((this.#values[place] ?? 0) - 1)
    }
  }

  /** Leaves the value out where the hash has 8 already. */
  add(hash: number, value: number): void {
    if (this.#used >= this.#values.length * fullness) this.#grow()
    const mask = this.#values.length - 1
    let place = home(hash, mask)
    let equal = 0
    for (; this.#values[place] !== 0; place = (place + 1) & mask) {
      if (this.#hashes[place] === hash) equal += 1
      if (equal === mostEqual) return
    }
    this.#hashes[place] = hash
    this.#values[place] = value + 1
    this.#used += 1
  }

  /** Takes the value out again, where it is in. */
  remove(hash: number, value: number): void {
    const mask = this.#values.length - 1
    for (let place = home(hash, mask); this.#values[place] !== 0; place = (place + 1) & mask) {
      if (this.#hashes[place] !== hash || this.#values[place] !== value + 1) continue
      this.#free(place)
      return
    }
  }

  /** Frees a place and moves up those behind it that would no longer be found. */
  #free(freed: number): void {
    const mask = this.#values.length - 1
    let hole = freed
    for (let place = (hole + 1) & mask; this.#values[place] !== 0; place = (place + 1) & mask) {
      const from = home(this.#hashes[place] ?? 0, mask)
      if (((place - from) & mask) < ((place - hole) & mask)) continue
      this.#hashes[hole] = this.#hashes[place] ?? 0
      this.#values[hole] = this.#values[place] ?? 0
      hole = place
    }
    this.#values[hole] = 0
    this.#used -= 1
  }

  #grow(): void {
    const hashes = this.#hashes
    const values = this.#values
    this.#hashes = new Uint32Array(hashes.length * 2)
    this.#values = new Uint32Array(values.length * 2)
    const mask = this.#values.length - 1
    for (let old = 0; old < values.length; old += 1) {
      if (values[old] === 0) continue
      let place = home(hashes[old] ?? 0, mask)
      while (this.#values[place] !== 0) place = (place + 1) & mask
      this.#hashes[place] = hashes[old] ?? 0
      this.#values[place] = values[old] ?? 0
    }
  }
}

function home(hash: number, mask: number): number {
  return (Math.imul(hash, 0x9e3779b1) >>> 7) & mask
}
