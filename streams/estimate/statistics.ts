/** A figure with its 90 % interval; each part is null where it is not known. */
export interface Estimate {
  value: number | null
  low: number | null
  high: number | null
}

/** A total with its variance; null where one input tells nothing of the spread. */
export interface Total {
  value: number
  variance: number | null
  /** Degrees of freedom of the variance. */
  freedom: number
}

/** What an input's figure is estimated by, and the figure. */
export interface Point {
  x: number
  y: number
}

/** 95th percentile of the normal distribution: the interval leaves out 5 % on both sides. */
const z95 = 1.6448536269514722
/** With fewer inputs a line says more of them than of the others. */
const leastForLine = 6
/** An input that alone decides the slope counts as if it left this much to the others. */
const leastRest = 0.05

export function exactly(value: number): Estimate {
  return { value, low: value, high: value }
}

export const unknown: Estimate = { value: null, low: null, high: null }

/** Sum; its interval is the one of the worst case, in which all are off to the same side. */
export function add(...all: readonly Estimate[]): Estimate {
  return all.reduce((left, right) => combine(left, right, (a, b) => a + b), exactly(0))
}

/** Product of figures that are not negative. */
export function times(left: Estimate, right: Estimate): Estimate {
  return combine(left, right, (a, b) => a * b)
}

function combine(left: Estimate, right: Estimate, by: (left: number, right: number) => number): Estimate {
  const part = (name: keyof Estimate) => {
    const [a, b] = [left[name], right[name]]
    return a === null || b === null ? null : by(a, b)
  }
  return { value: part('value'), low: part('low'), high: part('high') }
}

/**
 * Total of y over a population of which only a random sample has a y and all have an x: the regression estimator
 * N (ȳ + b (X̄ - x̄)), with the variance of the residuals of each input from the line through the others (so that
 * small samples don't flatter themselves), and the finite population correction.
 *
 * @param meanX - Over the whole population.
 */
export function estimateTotal(sample: readonly Point[], { size, meanX }: { size: number; meanX: number }): Total {
  const n = sample.length
  const mean = (of: (point: Point) => number) => sample.reduce((sum, point) => sum + of(point), 0) / Math.max(1, n)
  const [x, y] = [mean(point => point.x), mean(point => point.y)]
  const spreadX = sample.reduce((sum, point) => sum + (point.x - x) ** 2, 0)
  const hasLine = n >= leastForLine && spreadX > 1e-9 * Math.max(1, x ** 2)
  const slope = hasLine ? sample.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spreadX : 0
  const value = size * (y + slope * (meanX - x))
  const freedom = n - (hasLine ? 2 : 1)
  if (n >= size) return { value: size * y, variance: 0, freedom: Math.max(1, freedom) }
  if (freedom < 1) return { value, variance: null, freedom: 1 }
  const squares = sample.reduce((sum, point) => {
    const apart = point.x - x
    const rest = Math.max(leastRest, 1 - 1 / n - (hasLine ? apart ** 2 / spreadX : 0))
    const residual = (point.y - y - slope * apart) / rest
    const weight = hasLine ? 1 + ((meanX - x) * apart * n) / spreadX : 1
    return sum + (weight * residual) ** 2
  }, 0)
  return { value, variance: (size ** 2 * (1 - n / size) * squares) / (n * (n - 1)), freedom }
}

/** Of totals that do not depend on each other. Degrees of freedom as Welch and Satterthwaite have them. */
export function addTotals(totals: readonly Total[]): Total {
  const value = totals.reduce((sum, total) => sum + total.value, 0)
  if (totals.some(({ variance }) => variance === null)) return { value, variance: null, freedom: 1 }
  const variance = totals.reduce((sum, total) => sum + (total.variance ?? 0), 0)
  const parts = totals.reduce((sum, total) => sum + (total.variance ?? 0) ** 2 / total.freedom, 0)
  return { value, variance, freedom: parts > 0 ? variance ** 2 / parts : 1 }
}

/** The 90 % interval of a total. @param least - What it can't be below. */
export function intervalOf({ value, variance, freedom }: Total, least = 0): Estimate {
  const atLeast = Math.max(least, value)
  if (variance === null) return { value: atLeast, low: least, high: null }
  const half = variance === 0 ? 0 : t95(freedom) * Math.sqrt(variance)
  return { value: atLeast, low: Math.max(least, value - half), high: Math.max(least, value + half) }
}

/** Share of a population by a sample: Wilson's 90 % interval. Nothing is known from none. */
export function share(successes: number, of: number): Estimate {
  if (of === 0) return { value: null, low: 0, high: 1 }
  const p = successes / of
  const square = z95 ** 2
  const middle = (p + square / (2 * of)) / (1 + square / of)
  const half = (z95 * Math.sqrt((p * (1 - p)) / of + square / (4 * of ** 2))) / (1 + square / of)
  return { value: p, low: Math.max(0, Math.min(p, middle - half)), high: Math.min(1, Math.max(p, middle + half)) }
}

/** 95th percentile of Student's t distribution: exact for 1 and 2, else by the expansion of Cornish and Fisher. */
export function t95(freedom: number): number {
  if (freedom < 2) return Math.tan(Math.PI * 0.45)
  if (freedom < 3) return 0.9 / Math.sqrt(2 * 0.95 * 0.05)
  const z = z95
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
  )
}

/** Mean of what was recorded, and the 90 % interval of the mean of `future` more like it. */
export function meanOfMore(values: readonly number[], future: number): Estimate {
  const n = values.length
  if (n === 0) return unknown
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  if (n === 1) return { value: mean, low: 0, high: null }
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)
  const half = t95(n - 1) * Math.sqrt(variance * (1 / n + 1 / Math.max(1, future)))
  return { value: mean, low: Math.max(0, mean - half), high: mean + half }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
