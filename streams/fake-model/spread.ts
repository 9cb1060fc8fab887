import { z } from 'zod'
import type { Random } from '../models/stand-in/random.ts'

/** The 99th percentile of a normal distribution, in standard deviations. */
const z99 = 2.3263

/** A fixed number, or a log-normal distribution by its median and its 99th percentile. */
export const spread = z.union(
  [
    z.number().min(0),
    z
      .strictObject({ median: z.number().positive(), p99: z.number().positive() })
      .refine(({ median, p99 }) => p99 >= median, { error: 'p99 is below the median' }),
  ],
  { error: 'expected a number, or { median, p99 } with p99 at least the median' },
)

export type Spread = z.output<typeof spread>

/** Draws a number; a fixed one stays as it is. */
export function draw(from: Spread, random: Random): number {
  if (typeof from === 'number') return from
  const sigma = Math.log(from.p99 / from.median) / z99
  return from.median * Math.exp(sigma * normal(random))
}

/** Box and Muller's way from two even numbers to a normal one. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}
