/** Dimensions that are added up before the vectors are looked at again. */
export const stepDimensions = 16
/** What the squares of a vector may add up to more or less than 1: Float32 rounds to a tenth of it. */
export const lengthSlack = 1e-6

/**
 * A vector that is looked for, its largest numbers first, and what a near vector must have of the sum by each step.
 *
 * By then its squares add up to E, the rest of them to R. A vector v of length 1 that has d of the sum has squares of
 * at least d² / E in these dimensions, hence at most 1 - d² / E in the others, and so the whole sum is at most
 * d + √(R (1 - d² / E)) (Cauchy and Schwarz). Where that is the threshold t, d is the floor: (t E - √(E R (E + R - t²)))
 * / (E + R). The largest numbers first makes E grow, and with it the floor, as fast as can be.
 */
export class VectorQuery {
  readonly vector: Float32Array
  readonly threshold: number
  /** Dimensions with a number other than 0, that with the largest first, and those numbers; filled up to whole steps. */
  readonly dimensions: Int32Array
  readonly values: Float64Array
  /** By step: vectors with less of the sum are not near. */
  readonly floors: Float64Array

  constructor(vector: Float32Array, threshold: number) {
    this.vector = vector
    this.threshold = threshold
    const order = largestFirst(vector)
    const steps = Math.ceil(order.length / stepDimensions)
    this.dimensions = new Int32Array(steps * stepDimensions)
    this.dimensions.set(order)
    this.values = new Float64Array(steps * stepDimensions)
    for (const [at, dimension] of order.entries()) this.values[at] = vector[dimension] ?? 0
    this.floors = floorsOf(this.values, threshold)
  }

  get steps(): number {
    return this.floors.length
  }
}

/** By their bits, which stand in the order of the numbers; the last ones give way to the dimension. */
function largestFirst(vector: Float32Array): Int32Array {
  const bits = new Uint32Array(Float32Array.from(vector, Math.abs).buffer)
  const room = 2 ** Math.ceil(Math.log2(vector.length))
  const keys = bits.map((value, dimension) => value - (value % room) + dimension).sort()
  const order = Int32Array.from(keys, key => key % room).reverse()
  let last = order.length
  while (last > 0 && vector[order[last - 1] ?? 0] === 0) last -= 1
  return order.subarray(0, last)
}

function floorsOf(values: Float64Array, threshold: number): Float64Array {
  const whole = values.reduce((sum, value) => sum + value * value, 0)
  const floors = new Float64Array(values.length / stepDimensions)
  let summed = 0
  for (const [at, value] of values.entries()) {
    summed += value * value
    if ((at + 1) % stepDimensions > 0) continue
    const rest = Math.max(0, whole - summed) + lengthSlack
    // Below 0 no vector can be near.
    const reach = summed + rest - threshold ** 2
    const floor = (threshold * summed - Math.sqrt(summed * rest * reach)) / (summed + rest) - lengthSlack
    floors[Math.floor(at / stepDimensions)] = reach < 0 ? Number.POSITIVE_INFINITY : floor
  }
  return floors
}
