import { createHash } from 'node:crypto'
import { SituError } from '../../schemas/errors.ts'
import type { Signature } from '../../schemas/records.ts'
import { bytesOf, vectorOf } from '../embedder.ts'
import { checkEntry, exactBytes, KeptRecords } from './kept-records.ts'
import type { StatefulIndex, Twin } from './near-duplicate-index.ts'
import { UnitVectors } from './unit-vectors.ts'

/** What the squares of a vector may add up to more or less than 1: Float32 rounds to a tenth of it. */
const lengthSlack = 1e-6

/**
 * Near-duplicates by meaning: the cosine to the nearest kept vector decides.
 *
 * A record is compared with those that were kept, not with those that were dropped: what is kept is pairwise below the
 * threshold, and nothing is dropped for a likeness to something that is itself not there. About 4 bytes a dimension.
 */
export class VectorIndex implements StatefulIndex<Float32Array> {
  readonly #threshold: number
  readonly #embedder: string
  readonly #kept = new KeptRecords()
  /** Made by the first vector, which tells how many dimensions there are. */
  #vectors: UnitVectors | null = null

  /**
   * @param options.threshold - Cosine, up to 1, from which a record is a near-duplicate.
   * @param options.embedder - Name of what makes the vectors: entries of another one are refused.
   */
  constructor({ threshold, embedder }: { threshold: number; embedder: string }) {
    this.#threshold = threshold
    this.#embedder = embedder
  }

  get size(): number {
    return this.#kept.size
  }

  /** @throws {SituError} RECORD_INVALID for a vector of other dimensions than the kept ones, or not of length 1. */
  insert(id: string, vector: Float32Array): Twin | null {
    const vectors = this.#checked(id, vector)
    const exact = hashOf(vector)
    const repeated = this.#kept.repeatOf(exact)
    if (repeated) return repeated
    const near = vectors.nearest(vector, this.#threshold)
    if (near) return { id: this.#kept.id(near.number), similarity: Math.min(1, near.cosine) }
    this.#kept.add(id, exact)
    vectors.push(vector)
    return null
  }

  get pendingSize(): number {
    return this.#kept.pendingSize
  }

  pending(from?: number): readonly Signature[] {
    const vectors = this.#vectors
    const engine = this.#engineOf(vectors?.dimensions ?? 0)
    return this.#kept.entries(engine, from, record => vectors && bytesOf(vectors.get(record)))
  }

  confirm(): void {
    this.#kept.confirm()
  }

  rollback(from?: number): void {
    this.#kept.rollback(from, () => this.#vectors?.pop())
  }

  restore(entry: Signature): void {
    const { id, slots } = entry
    const dimensions = this.#vectors?.dimensions ?? dimensionsIn(entry.engine)
    checkEntry(entry, this.#engineOf(dimensions), 4 * dimensions)
    if (!slots) throw new SituError('RECORD_INVALID', `signature of ${id} has no vector`)
    if (this.#kept.find(entry.exact) !== undefined) return
    const vector = vectorOf(slots)
    this.#checked(id, vector).push(vector)
    this.#kept.add(id, entry.exact)
    this.#kept.confirmRestored()
  }

  #engineOf(dimensions: number): string {
    return `cosine/1 embedder=${this.#embedder} dimensions=${dimensions}`
  }

  #checked(id: string, vector: Float32Array): UnitVectors {
    const squares = vector.reduce((sum, value) => sum + value * value, 0)
    if (!(Math.abs(squares - 1) <= lengthSlack)) {
      throw new SituError('RECORD_INVALID', `${id}: a vector of length ${Math.sqrt(squares)}; 1 is wanted`)
    }
    this.#vectors ??= new UnitVectors(vector.length)
    const { dimensions } = this.#vectors
    if (vector.length === dimensions) return this.#vectors
    const rule = `the kept ones have ${dimensions}`
    throw new SituError('RECORD_INVALID', `${id}: a vector of ${vector.length} dimensions; ${rule}`)
  }
}

/** What the engine of an entry tells; 0 where it tells none. */
function dimensionsIn(engine: string): number {
  return Number(/ dimensions=(\d{1,6})$/.exec(engine)?.[1] ?? 0)
}

function hashOf(vector: Float32Array): Uint8Array {
  return createHash('sha256').update(bytesOf(vector)).digest().subarray(0, exactBytes)
}
