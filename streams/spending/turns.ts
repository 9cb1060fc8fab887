import type { Rate } from './store.ts'

/**
 * A leaky bucket that turns are poured into: it runs out evenly, and a turn may be used as soon as it fits below the
 * brim. Turns are booked ahead, so `at` may lie in the future.
 */
export interface Bucket {
  /** What is in it at `at`, just after the last turn. */
  level: number
  /** When the last turn may be used. */
  at: number
  /** When the last turn was asked for, by the clock of the store. */
  asked: number
  /** The brim: what may be used at once. At least the largest turn of late. */
  burst: number
  /** Until when the brim stays raised for large turns. */
  raisedUntil: number
}

export interface Booking {
  rate: Rate
  /** Null where none was kept yet. */
  bucket: Bucket | null
  amount: number
}

/** What may be used at once, as a share of the limit. */
export const burstShare = 0.04
/**
 * The limit of a minute is given out over a little more: a call arrives at the server up to this long after its turn
 * came, and the call before it may have been quicker.
 */
const marginMs = 1500
export const windowMs = 60_000 + marginMs
/** Long enough that large turns in a row find the brim raised. */
export const raisedForMs = 2 * windowMs

/**
 * Finds the first moment at which a turn fits all of its rates, behind every turn that was booked before, and books it.
 *
 * In no 60 seconds do the turns that may be used exceed the limit, provided that each is used within 1.5 s of its
 * moment, and that amounts are right or are soon made right by `settle`: what is booked ahead by too low an estimate
 * stays booked, so a process books a turn only for the call that goes next. Of the limit 93 % and more can be used, less where
 * single turns take more than 4 % of it: then the share of the largest one is lost.
 */
export function book(bookings: readonly Booking[], now: number): { at: number; buckets: Bucket[] } {
  const prepared = bookings.map(booking => prepare(booking, now))
  const at = Math.max(now, ...prepared.map(({ earliest }) => earliest))
  return { at, buckets: prepared.map(({ pour }) => pour(at)) }
}

/** Corrects what is in the bucket by what a turn took more (positive) or less (negative) than was booked. */
export function settle(bucket: Bucket, difference: number): Bucket {
  return { ...bucket, level: Math.max(0, bucket.level + difference) }
}

function prepare({ rate, bucket, amount: asked }: Booking, now: number) {
  const usual = usualBurst(rate)
  const { level, at, raisedUntil, burst } = current(bucket, usual, now)
  // More than the whole limit fits nowhere: the server will say so.
  const amount = Math.min(asked, rate.perMinute)
  const raised = Math.max(burst, Math.min(amount, Math.max(usual, rate.perMinute / 2)))
  const perMs = drain(rate, burst)
  // What goes over the brim of before waits as long as the bucket would need to make up for it.
  const earliest = at + (level + amount - burst) / perMs
  return {
    earliest: Math.max(at, earliest),
    pour: (turn: number): Bucket => ({
      level: Math.max(0, level - (turn - at) * perMs) + amount,
      at: turn,
      asked: now,
      burst: raised,
      raisedUntil: amount > usual && amount >= burst / 2 ? turn + raisedForMs : raisedUntil,
    }),
  }
}

/** The bucket as it counts from now on: empty, or what was kept. */
function current(bucket: Bucket | null, usual: number, now: number): Bucket {
  if (!bucket) return { level: 0, at: now - windowMs, asked: now, burst: usual, raisedUntil: now }
  // A clock that was set back must not make everybody wait for the time of before.
  const at = bucket.at - Math.max(0, bucket.asked - now)
  const isRaised = bucket.raisedUntil > now && bucket.burst > usual
  return { ...bucket, at, burst: isRaised ? bucket.burst : usual }
}

/** Requests are whole: with few per minute, one at once, and the others evenly. */
function usualBurst({ name, perMinute }: Rate): number {
  const share = perMinute * burstShare
  return name === 'requests' ? Math.max(1, Math.floor(share)) : share
}

/** What runs out per millisecond. Of n whole requests n − 1 intervals lie between the first and the last. */
function drain({ name, perMinute }: Rate, burst: number): number {
  const whole = name === 'requests' ? 1 : 0
  return (perMinute - burst + whole) / windowMs
}
