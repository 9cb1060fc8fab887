/** Vectors made by a seeded generator, and what comparing each with all would say of them. */
import type { Twin } from '../../../operators/dedup/near-duplicate-index.ts'
import type { Random } from './planted-texts.ts'

/** Of length 1 in Float32. */
export function normal(numbers: ArrayLike<number>): Float32Array {
  const vector = Float32Array.from(numbers)
  const length = Math.hypot(...vector)
  if (length === 0) vector[0] = 1
  return length === 0 ? vector : vector.map(value => value / length)
}

/** By the sum of twelve even ones, which is near enough to a normal distribution. */
function gaussian(random: Random): number {
  let sum = -6
  for (let count = 0; count < 12; count += 1) sum += random()
  return sum
}

/** A vector of any direction. */
export function unit(random: Random, dimensions: number): Float32Array {
  return normal(Array.from({ length: dimensions }, () => gaussian(random)))
}

/** A vector at this cosine to another one, otherwise of any direction. */
export function near(random: Random, vector: Float32Array, cosine: number): Float32Array {
  const other = unit(random, vector.length)
  const along = cosineOf(vector, other)
  const across = normal(other.map((value, at) => value - along * (vector[at] ?? 0)))
  const sine = Math.sqrt(1 - cosine ** 2)
  return normal(across.map((value, at) => sine * value + cosine * (vector[at] ?? 0)))
}

export interface Shape {
  dimensions: number
  /** How many vectors the others are copies of, more or less exact ones. */
  families: number
  /** Weight of a part that all have: unrelated texts are alike to many a model. */
  common?: number
  /** Share of the numbers that are not 0. */
  share?: number
}

/** Members of families, of which a few are the same as an earlier one. */
export function vectorsLike(random: Random, count: number, shape: Shape): Float32Array[] {
  const { dimensions, families, common = 0, share = 1 } = shape
  const direction = unit(random, dimensions)
  const sparse = () => normal(unit(random, dimensions).map(value => (random() < share ? value : 0)))
  const middles = Array.from({ length: families }, sparse)
  const made: Float32Array[] = []
  for (let number = 0; number < count; number += 1) {
    const earlier = random() < 0.05 && made[Math.floor(random() * made.length)]
    const middle = middles[Math.floor(random() * families)] ?? direction
    const spread = 1.5 * random()
    const noise = sparse()
    made.push(
      earlier || normal(middle.map((value, at) => value + spread * (noise[at] ?? 0) + common * (direction[at] ?? 0))),
    )
  }
  return made
}

export function cosineOf(left: Float32Array, right: Float32Array): number {
  let sum = 0
  for (let at = 0; at < left.length; at += 1) sum += (left[at] ?? 0) * (right[at] ?? 0)
  return sum
}

/** Compares each vector with all that were kept. */
export class BruteForce {
  readonly #threshold: number
  readonly #kept: { id: string; vector: Float32Array }[] = []

  constructor(threshold: number) {
    this.#threshold = threshold
  }

  get size(): number {
    return this.#kept.length
  }

  insert(id: string, vector: Float32Array): Twin | null {
    let best: Twin | null = null
    for (const kept of this.#kept) {
      const cosine = cosineOf(vector, kept.vector)
      if (cosine > 0.999 && kept.vector.every((value, at) => value === vector[at]))
        return { id: kept.id, similarity: 1 }
      const similarity = Math.min(1, cosine)
      if (similarity < this.#threshold || similarity <= (best?.similarity ?? 0)) continue
      best = { id: kept.id, similarity }
    }
    if (!best) this.#kept.push({ id, vector })
    return best
  }
}
