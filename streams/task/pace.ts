import type { Task, Work } from '../../schemas/records.ts'
import { finished } from './task-record.ts'

const windowMs = 60_000
/** Commits that are closer together than this are remembered as one. */
const stepMs = 5_000

interface Mark {
  time: number
  finished: number
}

/** Remembers what a task had finished up to a minute ago, so that its record can tell how quick it is. */
export class Pace {
  /** The first one is from the beginning of the window or before it. */
  readonly #marks: Mark[]
  #latest: Mark

  constructor(time: number, finished: number) {
    this.#latest = { time, finished }
    this.#marks = [this.#latest]
  }

  /** A commit was made. */
  note(time: number, finished: number): void {
    const before = this.#latest
    const isApart = before.time - (this.#marks.at(-1)?.time ?? 0) >= stepMs
    // The last commit before a pause tells what was finished all through the pause.
    if (isApart || time - before.time >= stepMs) this.#marks.push(before)
    this.#latest = { time, finished }
    while ((this.#marks[1]?.time ?? Number.POSITIVE_INFINITY) <= time - windowMs) this.#marks.shift()
  }

  /** For the record of a commit at this time. */
  at(time: number): Pick<Work, 'since' | 'finished'> {
    const start = time - windowMs
    const before = [...this.#marks, this.#latest].findLast(mark => mark.time <= start)
    if (before) return { since: start, finished: before.finished }
    const { time: since, finished } = this.#marks[0] ?? this.#latest
    return { since, finished }
  }
}

/** Inputs a second that a task has finished lately; 0 where it has committed nothing for a minute. */
export function recordsPerSecond({ counters, time, work }: Task, now: number): number {
  if (!work || now - time >= windowMs) return 0
  return (finished(counters) - work.finished) / (Math.max(1000, now - work.since) / 1000)
}
