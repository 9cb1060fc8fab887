import { createHash } from 'node:crypto'
import { Minhash } from 'minhash'
import { charactersPerShingle, wordsPerShingle } from './shingles.ts'

export const permutations = 128
/**
 * A text with more distinct shingles is represented by those with the smallest hashes: of two texts the same ones are
 * taken, so that the estimate stays one of all shingles (its own error is then 0.007), and no text takes over 10 ms.
 */
const mostShingles = 4_096

/** Everything that a signature depends on. */
export const signatureEngine = `minhash-npm/1 permutations=${permutations} bits=8 words=${wordsPerShingle} characters=${charactersPerShingle} most=${mostShingles}`

/**
 * Signatures by the npm package `minhash`: 128 slots of one byte.
 *
 * What there is to know of the package (0.0.9): its permutations come from Math.sin, whose last bits differ between
 * versions of the engine, so they are given to it here; seed 2 is seed 1 shifted by one place; `update` hashes the
 * string anew for each permutation, so it is handed the hash; an instance is mutable and costs 256 random numbers, so
 * one is kept and emptied. Its hash works on UTF-16 units, which is sound for all scripts.
 */
export class MinhashSigner {
  readonly #minhash = new Minhash({ numPerm: permutations })
  readonly #hash: (text: string) => number
  #current = 0

  constructor() {
    this.#minhash.permA = numbers('a')
    this.#minhash.permB = numbers('b')
    this.#hash = this.#minhash.hash.bind(this.#minhash)
    this.#minhash.hash = () => this.#current
  }

  /** Null where there is no shingle. */
  sign(shingles: Iterable<string>): Uint8Array | null {
    const hashes = this.#distinct(shingles)
    if (hashes.size === 0) return null
    this.#minhash.hashvalues = []
    this.#minhash.inithashvalues()
    for (const hash of hashes) {
      this.#current = hash
      this.#minhash.update('')
    }
    return Uint8Array.from(this.#minhash.hashvalues, mixedByte)
  }

  /** The hashes of the shingles; of too many those that are smallest after mixing. */
  #distinct(shingles: Iterable<string>): Set<number> {
    const kept = new Set<number>()
    let limit = 0x1_0000_0000
    for (const shingle of shingles) {
      const hash = this.#hash(shingle)
      if (limit === 0x1_0000_0000 || mixed(hash) < limit) kept.add(hash)
      // Twice the number before it is thinned out, so that sorting is paid for by as many additions.
      if (kept.size >= 2 * mostShingles) limit = thinOut(kept)
    }
    if (kept.size > mostShingles) thinOut(kept)
    return kept
  }
}

/** Leaves the `mostShingles` smallest, and returns the bound below which further ones may still be among them. */
function thinOut(hashes: Set<number>): number {
  const limit = Uint32Array.from(hashes, mixed).sort()[mostShingles] ?? 0x1_0000_0000
  for (const hash of hashes) if (mixed(hash) >= limit) hashes.delete(hash)
  return limit
}

/** Spreads a hash over 32 bits one to one; the package's own follows the characters. */
function mixed(hash: number): number {
  let bits = hash | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** One byte of a slot. Equal slots give equal bytes, others do so in one of 256 cases, which the estimate allows for. */
function mixedByte(slot: number): number {
  return mixed(slot) >>> 24
}

/** Numbers from 1 up to 2^32 - 1, the same on every machine. */
function numbers(name: string): number[] {
  return Array.from({ length: permutations }, (_, index) => {
    return createHash('sha256').update(`situ minhash ${name} ${index}`).digest().readUInt32LE(0) || 1
  })
}
