/** Dimensions that are added up before the vectors are looked at again. */
export const stepDimensions = 16

/**
 * A vector that is looked for, its part across a direction, the largest numbers first, and what the rest of it can add.
 *
 * With a direction m of length 1, a vector q is a m + q', another one v is b m + v', and their dot product is a b + q'v'.
 * Of q'v' the numbers that are not added up yet can make at most |rest of q'| |v'| (Cauchy and Schwarz). The largest
 * first makes that rest small soon, and the direction that most vectors have in common takes out what they owe to it:
 * vectors of many models are all alike by it.
 */
export class VectorQuery {
  /** Dimensions with a number other than 0, that with the largest first, and those numbers; filled up to whole steps. */
  readonly dimensions: Int32Array
  readonly values: Float64Array
  /** By step: length of what is not added up yet. */
  readonly rests: Float64Array
  /** By step: what a vector's b counts, where the products of the numbers so far are those with v and not with v'. */
  readonly leanings: Float64Array

  /** @param direction - Of length 1, or of zeros. */
  constructor(vector: Float32Array, direction: Float64Array) {
    const along = dot(vector, direction)
    const across = Float64Array.from(vector)
    for (let at = 0; at < across.length; at += 1) across[at] = (across[at] ?? 0) - along * (direction[at] ?? 0)
    const order = largestFirst(across)
    const steps = Math.ceil(order.length / stepDimensions)
    this.dimensions = new Int32Array(steps * stepDimensions)
    this.dimensions.set(order)
    this.values = new Float64Array(steps * stepDimensions)
    this.rests = new Float64Array(steps)
    this.leanings = new Float64Array(steps)
    for (let at = 0; at < order.length; at += 1) this.values[at] = across[order[at] ?? 0] ?? 0
    let squares = 0
    for (let at = this.values.length - 1; at >= 0; at -= 1) {
      if ((at + 1) % stepDimensions === 0) this.rests[(at + 1) / stepDimensions - 1] = Math.sqrt(squares)
      squares += (this.values[at] ?? 0) ** 2
    }
    let leaning = along
    for (let at = 0; at < this.values.length; at += 1) {
      leaning -= (this.values[at] ?? 0) * (direction[this.dimensions[at] ?? 0] ?? 0)
      if ((at + 1) % stepDimensions === 0) this.leanings[(at + 1) / stepDimensions - 1] = leaning
    }
  }

  get steps(): number {
    return this.rests.length
  }
}

/** Sorted by their bits in Float32, which stand in the order of the numbers; the last bits give way to the dimension. */
function largestFirst(numbers: Float64Array): Int32Array {
  const keys = new Uint32Array(Float32Array.from(numbers).map(Math.abs).buffer)
  const below = 2 ** Math.ceil(Math.log2(numbers.length)) - 1
  for (let dimension = 0; dimension < keys.length; dimension += 1) {
    keys[dimension] = ((keys[dimension] ?? 0) & ~below) | dimension
  }
  keys.sort().reverse()
  const order = new Int32Array(keys.length)
  let count = 0
  for (let place = 0; place < keys.length; place += 1) {
    const dimension = (keys[place] ?? 0) & below
    if (numbers[dimension] !== 0) order[count++] = dimension
  }
  return order.subarray(0, count)
}

export function dot(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < left.length; at += 1) sum += (left[at] ?? 0) * (right[at] ?? 0)
  return sum
}
