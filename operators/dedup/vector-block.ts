import { dot, stepDimensions, type VectorQuery } from './vector-query.ts'

/** So few that their sums stay in the processor's first cache. */
export const blockVectors = 1_024
/** Where no more than this share of a block is left, those are added up one by one. */
const fewShare = 0.15
/** More than sums and lengths can be wrong by: nothing that is near may be left out for that. */
const slack = 1e-6

/** Sums of the block that is searched, and places of the vectors in it that may be near. */
const sums = new Float64Array(blockVectors)
const places = new Int32Array(blockVectors)

/** Up to 1,024 vectors; the numbers of one dimension lie next to each other. */
export class VectorBlock {
  readonly #dimensions: number
  readonly #numbers: Float32Array
  /** Of each vector: how much of it lies along the direction, and the length of what lies across. */
  readonly #along = new Float64Array(blockVectors)
  readonly #across = new Float64Array(blockVectors)
  #size = 0

  constructor(dimensions: number) {
    this.#dimensions = dimensions
    this.#numbers = new Float32Array(blockVectors * dimensions)
  }

  get size(): number {
    return this.#size
  }

  get isFull(): boolean {
    return this.#size === blockVectors
  }

  push(vector: Float32Array, direction: Float64Array): void {
    const place = this.#size++
    for (let at = 0; at < vector.length; at += 1) this.#numbers[at * blockVectors + place] = vector[at] ?? 0
    this.#measureOne(place, vector, direction)
  }

  pop(): void {
    this.#size -= 1
  }

  get(place: number): Float32Array {
    const vector = new Float32Array(this.#dimensions)
    for (let at = 0; at < vector.length; at += 1) vector[at] = this.#numbers[at * blockVectors + place] ?? 0
    return vector
  }

  /** In the order of the dimensions, so that nothing hangs on how it was searched. */
  cosine(place: number, vector: Float32Array): number {
    let sum = 0
    for (let at = 0; at < vector.length; at += 1) {
      sum += (vector[at] ?? 0) * (this.#numbers[at * blockVectors + place] ?? 0)
    }
    return sum
  }

  /** Adds all vectors to the sum. */
  addTo(sum: Float64Array): void {
    for (let at = 0; at < sum.length; at += 1) {
      const start = at * blockVectors
      for (const value of this.#numbers.subarray(start, start + this.#size)) sum[at] = (sum[at] ?? 0) + value
    }
  }

  /** For another direction. */
  measure(direction: Float64Array): void {
    for (let place = 0; place < this.#size; place += 1) this.#measureOne(place, this.get(place), direction)
  }

  #measureOne(place: number, vector: Float32Array, direction: Float64Array): void {
    const along = dot(vector, direction)
    this.#along[place] = along
    this.#across[place] = Math.sqrt(Math.max(0, dot(vector, vector) - along ** 2))
  }

  /** Places of the vectors that may be near, in order; good until the next search. */
  search(query: VectorQuery, threshold: number): Int32Array {
    sums.fill(0)
    let left = this.#size
    for (let place = 0; place < left; place += 1) places[place] = place
    let areFew = false
    for (let step = 0; step < query.steps && left > 0; step += 1) {
      if (areFew) this.#addSome(left, query, step)
      else this.#addAll(query, step)
      const rest = query.rests[step] ?? 0
      // While so much can come, hardly any vector can be left out.
      if (rest >= threshold) continue
      left = this.#keep(areFew ? left : this.#size, areFew, threshold - slack, rest, query.leanings[step] ?? 0)
      areFew ||= left <= fewShare * this.#size
    }
    return places.subarray(0, left)
  }

  /** Four dimensions at a time: reading and writing the sums costs as much as the products. */
  #addAll({ dimensions, values }: VectorQuery, step: number): void {
    const numbers = this.#numbers
    const count = this.#size
    for (let at = step * stepDimensions; at < (step + 1) * stepDimensions; at += 4) {
      const [a, b, c, d] = [values[at] ?? 0, values[at + 1] ?? 0, values[at + 2] ?? 0, values[at + 3] ?? 0]
      const ofA = (dimensions[at] ?? 0) * blockVectors
      const ofB = (dimensions[at + 1] ?? 0) * blockVectors
      const ofC = (dimensions[at + 2] ?? 0) * blockVectors
      const ofD = (dimensions[at + 3] ?? 0) * blockVectors
      for (let place = 0; place < count; place += 1) {
        sums[place] =
          (sums[place] ?? 0) +
          a * (numbers[ofA + place] ?? 0) +
          b * (numbers[ofB + place] ?? 0) +
          c * (numbers[ofC + place] ?? 0) +
          d * (numbers[ofD + place] ?? 0)
      }
    }
  }

  #addSome(left: number, { dimensions, values }: VectorQuery, step: number): void {
    for (let at = step * stepDimensions; at < (step + 1) * stepDimensions; at += 1) {
      const value = values[at] ?? 0
      const start = (dimensions[at] ?? 0) * blockVectors
      for (let number = 0; number < left; number += 1) {
        const place = places[number] ?? 0
        sums[place] = (sums[place] ?? 0) + value * (this.#numbers[start + place] ?? 0)
      }
    }
  }

  /** Puts those that may still reach `least` first. @param areFew - Of the first `count` places; else of the block. */
  #keep(count: number, areFew: boolean, least: number, rest: number, leaning: number): number {
    const along = this.#along
    const across = this.#across
    let left = 0
    for (let number = 0; number < count; number += 1) {
      const place = areFew ? (places[number] ?? 0) : number
      const most = (sums[place] ?? 0) + leaning * (along[place] ?? 0) + rest * (across[place] ?? 0)
      if (most >= least) places[left++] = place
    }
    return left
  }
}
