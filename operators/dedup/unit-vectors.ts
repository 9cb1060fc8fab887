import { stepDimensions, VectorQuery } from './vector-query.ts'

/** Vectors of a block: few enough that their sums stay in the processor's first cache. */
const blockVectors = 1_024
/** Where less than this share of a block is left, those are added up one by one. */
const fewShare = 0.15

export interface Near {
  number: number
  cosine: number
}

/**
 * Vectors of length 1 by number, and the nearest of them: exactly that which comparing with each would find.
 *
 * Numbers of one dimension lie next to each other, block by block. The sums of a block grow by 16 dimensions at a time,
 * and a vector is left out as soon as it can't be near any more (see VectorQuery): most are after a tenth of them.
 * Takes 4 bytes a dimension; a block of 1,024 vectors is made at once.
 */
export class UnitVectors {
  readonly dimensions: number
  readonly #blocks: Float32Array[] = []
  #size = 0
  readonly #sums = new Float64Array(blockVectors)
  /** Places in the block that is searched of the vectors that may be near. */
  readonly #left = new Int32Array(blockVectors)

  constructor(dimensions: number) {
    this.dimensions = dimensions
  }

  get size(): number {
    return this.#size
  }

  push(vector: Float32Array): void {
    const place = this.#size % blockVectors
    if (place === 0 && this.#blocks.length * blockVectors === this.#size) {
      this.#blocks.push(new Float32Array(blockVectors * this.dimensions))
    }
    const block = this.#blockOf(this.#size)
    for (let dimension = 0; dimension < this.dimensions; dimension += 1) {
      block[dimension * blockVectors + place] = vector[dimension] ?? 0
    }
    this.#size += 1
  }

  pop(): void {
    this.#size -= 1
  }

  get(number: number): Float32Array {
    const block = this.#blockOf(number)
    const place = number % blockVectors
    return Float32Array.from(
      { length: this.dimensions },
      (_, dimension) => block[dimension * blockVectors + place] ?? 0,
    )
  }

  /** The vector with the highest cosine from the threshold on, the earliest of several; null where there is none. */
  nearest(vector: Float32Array, threshold: number): Near | null {
    const query = new VectorQuery(vector, threshold)
    let best: Near | null = null
    for (const [at, block] of this.#blocks.entries()) {
      const first = at * blockVectors
      const left = this.#search(block, Math.min(blockVectors, this.#size - first), query)
      for (const place of this.#left.subarray(0, left)) {
        const cosine = this.#cosine(block, place, vector)
        if (cosine >= threshold && (best === null || cosine > best.cosine)) best = { number: first + place, cosine }
      }
    }
    return best
  }

  #blockOf(number: number): Float32Array {
    const block = this.#blocks[Math.floor(number / blockVectors)]
    if (!block) throw new RangeError(`there is no vector ${number}`)
    return block
  }

  /** Leaves the places of those that may be near in `#left`. @returns How many they are. */
  #search(block: Float32Array, count: number, query: VectorQuery): number {
    const sums = this.#sums.fill(0)
    const places = this.#left
    let left = count
    let areFew = false
    for (let step = 0; step < query.steps && left > 0; step += 1) {
      if (areFew) addSome(sums, places.subarray(0, left), block, query, step)
      else addAll(sums, count, block, query, step)
      const floor = query.floors[step] ?? 0
      // So little says of nearly all that they may be near.
      if (floor <= 0) continue
      left = areFew ? keepSome(sums, places, left, floor) : keepAll(sums, places, count, floor)
      areFew ||= left < fewShare * count
    }
    return query.steps > 0 ? left : 0
  }

  /** In the order of the dimensions, so that nothing hangs on how it was searched. */
  #cosine(block: Float32Array, place: number, vector: Float32Array): number {
    let sum = 0
    for (let dimension = 0; dimension < this.dimensions; dimension += 1) {
      sum += (vector[dimension] ?? 0) * (block[dimension * blockVectors + place] ?? 0)
    }
    return sum
  }
}

/** Four dimensions at a time: reading and writing the sums costs as much as the products. */
function addAll(sums: Float64Array, count: number, block: Float32Array, query: VectorQuery, step: number): void {
  const { dimensions, values } = query
  for (let at = step * stepDimensions; at < (step + 1) * stepDimensions; at += 4) {
    const [a, b, c, d] = [values[at] ?? 0, values[at + 1] ?? 0, values[at + 2] ?? 0, values[at + 3] ?? 0]
    const ofA = (dimensions[at] ?? 0) * blockVectors
    const ofB = (dimensions[at + 1] ?? 0) * blockVectors
    const ofC = (dimensions[at + 2] ?? 0) * blockVectors
    const ofD = (dimensions[at + 3] ?? 0) * blockVectors
    for (let place = 0; place < count; place += 1) {
      sums[place] =
        (sums[place] ?? 0) +
        a * (block[ofA + place] ?? 0) +
        b * (block[ofB + place] ?? 0) +
        c * (block[ofC + place] ?? 0) +
        d * (block[ofD + place] ?? 0)
    }
  }
}

function addSome(sums: Float64Array, places: Int32Array, block: Float32Array, query: VectorQuery, step: number): void {
  const { dimensions, values } = query
  for (let at = step * stepDimensions; at < (step + 1) * stepDimensions; at += 1) {
    const value = values[at] ?? 0
    const start = (dimensions[at] ?? 0) * blockVectors
    for (const place of places) sums[place] = (sums[place] ?? 0) + value * (block[start + place] ?? 0)
  }
}

/** @returns How many of the block may be near. */
function keepAll(sums: Float64Array, places: Int32Array, count: number, floor: number): number {
  let left = 0
  for (let place = 0; place < count; place += 1) {
    if ((sums[place] ?? 0) >= floor) places[left++] = place
  }
  return left
}

/** @returns How many of the first `count` places may be near; they stand first from now on. */
function keepSome(sums: Float64Array, places: Int32Array, count: number, floor: number): number {
  let left = 0
  for (let at = 0; at < count; at += 1) {
    const place = places[at] ?? 0
    if ((sums[place] ?? 0) >= floor) places[left++] = place
  }
  return left
}
