import { blockVectors, VectorBlock } from './vector-block.ts'
import { dot, VectorQuery } from './vector-query.ts'

/** From so many vectors on the direction that they have in common is taken, and anew whenever they have doubled. */
const leastCommon = 256

export interface Near {
  number: number
  cosine: number
}

/**
 * Vectors of length 1 by number, and the nearest of them: exactly that which comparing with each would find.
 *
 * The products of a vector's largest numbers are added up first, and what can't be near any more is left out (see
 * VectorQuery): most vectors after a tenth of their numbers. Takes 4 bytes a dimension.
 */
export class UnitVectors {
  readonly dimensions: number
  readonly #blocks: VectorBlock[] = []
  #size = 0
  #direction: Float64Array
  #nextCommon = leastCommon

  constructor(dimensions: number) {
    this.dimensions = dimensions
    this.#direction = new Float64Array(dimensions)
  }

  get size(): number {
    return this.#size
  }

  push(vector: Float32Array): void {
    const last = this.#blocks.at(-1)
    const block = last && !last.isFull ? last : new VectorBlock(this.dimensions)
    if (block !== last) this.#blocks.push(block)
    block.push(vector, this.#direction)
    this.#size += 1
    if (this.#size >= this.#nextCommon) this.#takeCommon()
  }

  /** Takes the last one away. */
  pop(): void {
    const last = this.#blocks.at(-1)
    last?.pop()
    if (last?.size === 0) this.#blocks.pop()
    this.#size -= 1
  }

  get(number: number): Float32Array {
    const block = this.#blocks[Math.floor(number / blockVectors)]
    if (!block || number >= this.#size) throw new RangeError(`there is no vector ${number}`)
    return block.get(number % blockVectors)
  }

  /** The vector with the highest cosine from the threshold on, the earliest of several; null where there is none. */
  nearest(vector: Float32Array, threshold: number): Near | null {
    const query = new VectorQuery(vector, this.#direction)
    let best: Near | null = null
    for (const [at, block] of this.#blocks.entries()) {
      for (const place of block.search(query, threshold)) {
        const cosine = block.cosine(place, vector)
        if (cosine >= threshold && (best === null || cosine > best.cosine))
          best = { number: at * blockVectors + place, cosine }
      }
    }
    return best
  }

  #takeCommon(): void {
    this.#nextCommon = 2 * this.#size
    const sum = new Float64Array(this.dimensions)
    for (const block of this.#blocks) block.addTo(sum)
    const length = Math.sqrt(dot(sum, sum))
    this.#direction = length === 0 ? sum : sum.map(value => value / length)
    for (const block of this.#blocks) block.measure(this.#direction)
  }
}
