import type { Signature } from '../../schemas/records.ts'
import { HashTable } from './hash-table.ts'
import { checkEntry, KeptRecords, Rows } from './kept-records.ts'
import { MinhashSigner, permutations, signatureEngine } from './minhash-signer.ts'
import type { StatefulIndex, Twin } from './near-duplicate-index.ts'
import { exactHash, normalise } from './normalise.ts'
import { shingles } from './shingles.ts'

const bands = 16
const slotsPerBand = permutations / bands
/** Of 256 slots that differ, one agrees by chance in the byte that is kept of it. */
const chance = 1 / 256
/** The highest estimate: all slots equal says less than equal texts, for which 1 is kept. */
const highestEstimate = 1 - 1 / (2 * permutations)
const noSlots = new Uint8Array(permutations)

/**
 * Near-duplicates by MinHash: texts that share one of 16 bands of 8 slots are candidates, and the share of equal slots
 * decides.
 *
 * Signatures are the npm package's; the bands are our own, because its LshIndex can't take an entry back, throws for a
 * band that it never saw, mixes the bands up with each other, and holds 6 KB a record. Here it is about 500 bytes, and
 * the cost of a record does not grow with the index.
 */
export class MinhashIndex implements StatefulIndex {
  readonly #threshold: number
  readonly #signer = new MinhashSigner()
  readonly #kept = new KeptRecords()
  readonly #slots = new Rows(permutations)
  readonly #hasSlots = new Rows(1)
  readonly #bands = new HashTable()

  /** @param options.threshold - Estimated Jaccard similarity, 0.5 to 1, from which a text is a near-duplicate. */
  constructor({ threshold }: { threshold: number }) {
    this.#threshold = threshold
  }

  get size(): number {
    return this.#kept.size
  }

  insert(id: string, text: string): Twin | null {
    const normalised = normalise(text)
    const exact = exactHash(normalised)
    const repeated = this.#kept.repeatOf(exact)
    if (repeated) return repeated
    const slots = this.#signer.sign(shingles(normalised))
    const twin = slots && this.#closest(slots)
    if (twin) return twin
    this.#add(id, exact, slots)
    return null
  }

  get pendingSize(): number {
    return this.#kept.pendingSize
  }

  pending(from?: number): readonly Signature[] {
    return this.#kept.entries(signatureEngine, from, record => this.#slotsOf(record))
  }

  confirm(): void {
    this.#kept.confirm()
  }

  rollback(from?: number): void {
    this.#kept.rollback(from, record => {
      for (const key of bandKeys(this.#slotsOf(record))) this.#bands.remove(key, record)
      this.#slots.pop()
      this.#hasSlots.pop()
    })
  }

  restore(entry: Signature): void {
    checkEntry(entry, signatureEngine, permutations)
    if (this.#kept.find(entry.exact) !== undefined) return
    this.#add(entry.id, entry.exact, entry.slots)
    this.#kept.confirmRestored()
  }

  #add(id: string, exact: Uint8Array, slots: Uint8Array | null): void {
    const record = this.#kept.add(id, exact)
    this.#slots.push(slots ?? noSlots)
    this.#hasSlots.push(Uint8Array.of(slots ? 1 : 0))
    for (const key of bandKeys(slots)) this.#bands.add(key, record)
  }

  #slotsOf(record: number): Uint8Array | null {
    return this.#hasSlots.get(record)[0] === 1 ? this.#slots.get(record) : null
  }

  /** The most similar of the candidates, the earliest of several. */
  #closest(slots: Uint8Array): Twin | null {
    const seen = new Set<number>()
    let best = -1
    let bestEqual = 0
    for (const key of bandKeys(slots)) {
      this.#bands.each(key, record => {
        if (seen.has(record)) return
        seen.add(record)
        const equal = equalSlots(slots, this.#slots.get(record))
        if (equal < bestEqual || (equal === bestEqual && record > best)) return
        best = record
        bestEqual = equal
      })
    }
    const similarity = estimate(bestEqual)
    return best >= 0 && similarity >= this.#threshold ? { id: this.#kept.id(best), similarity } : null
  }
}

function estimate(equal: number): number {
  return Math.min(highestEstimate, Math.max(0, (equal / permutations - chance) / (1 - chance)))
}

function equalSlots(left: Uint8Array, right: Uint8Array): number {
  let equal = 0
  for (let slot = 0; slot < permutations; slot += 1) if (left[slot] === right[slot]) equal += 1
  return equal
}

/** A 32-bit key for each band, its position included. */
function* bandKeys(slots: Uint8Array | null): Generator<number> {
  if (!slots) return
  for (let band = 0; band < bands; band += 1) {
    let key = band + 1
    for (let slot = band * slotsPerBand; slot < (band + 1) * slotsPerBand; slot += 1) {
      key = Math.imul(key ^ (slots[slot] ?? 0), 0x01000193)
      key ^= key >>> 15
    }
    yield Math.imul(key, 0x85ebca6b) >>> 0
  }
}
