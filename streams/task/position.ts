import type { Position as PositionRecord } from '../../schemas/records.ts'

interface Entry {
  offset: number
  /** It is, or the commit that runs makes it so. */
  committed: boolean
  /** It is, and nothing can take that back. */
  settled: boolean
}

/**
 * How far one input topic of a task has been worked: every offset below `next` is finished, and some beyond it are.
 *
 * Offsets are taken in ascending order and finished in any; those that the log has no message for count as finished.
 */
export class Position {
  readonly topic: string
  /** Of the topic that the offsets are of; null where the log gives none. */
  readonly #topicId: string | null
  /** Behind the last offset that was read. */
  readTo: number
  readonly #finishedBefore: readonly (readonly [first: number, last: number])[]
  /** Taken offsets from the oldest unfinished one on. */
  #entries: Entry[] = []

  constructor(topic: string, stored: Partial<PositionRecord> = {}) {
    this.topic = topic
    this.#topicId = stored.topicId ?? null
    const next = stored.next ?? 0
    this.readTo = next
    const pairs: [number, number][] = []
    const finished = stored.finished ?? []
    for (let index = 0; index + 1 < finished.length; index += 2) {
      pairs.push([next + (finished[index] ?? 0), next + (finished[index + 1] ?? 0)])
    }
    this.#finishedBefore = pairs
  }

  /** Every offset below it is committed, or is by the commit that runs. */
  get next(): number {
    return this.#entries.find(entry => !entry.committed)?.offset ?? this.readTo
  }

  /** Every offset below it is committed. */
  get settledTo(): number {
    return this.#entries.find(entry => !entry.settled)?.offset ?? this.readTo
  }

  /** Taken offsets that the commits can't leave behind yet, committed ones among them. */
  get window(): number {
    return this.#entries.length
  }

  /** Whether an earlier run has finished it. */
  wasFinished(offset: number): boolean {
    return this.#finishedBefore.some(([first, last]) => offset >= first && offset <= last)
  }

  /** Takes an offset, in ascending order. @returns False where an earlier run has finished it. */
  take(offset: number): boolean {
    const finished = this.wasFinished(offset)
    this.#entries.push({ offset, committed: finished, settled: finished })
    this.readTo = offset + 1
    return !finished
  }

  /** Takes an offset that asks for nothing, so that no commit is needed. */
  skip(offset: number): void {
    this.#entries.push({ offset, committed: true, settled: true })
    this.readTo = offset + 1
    this.#forget()
  }

  /** The batch is read up to here: control records and gaps behind its last message are passed. */
  pass(next: number): void {
    this.readTo = Math.max(this.readTo, next)
  }

  /** Counts the offsets as committed; the returned function takes that back, for a commit that failed. */
  finish(offsets: readonly number[]): () => void {
    const entries = offsets.flatMap(offset => this.#entryOf(offset) ?? [])
    for (const entry of entries) entry.committed = true
    return () => {
      for (const entry of entries) entry.committed = false
    }
  }

  /** The commit has been made. */
  settle(): void {
    for (const entry of this.#entries) entry.settled = entry.committed
    this.#forget()
  }

  /** What lies below `settledTo`. */
  #forget(): void {
    let open = this.#entries.findIndex(entry => !entry.settled)
    if (open < 0) open = this.#entries.length
    if (open > 0) this.#entries = this.#entries.slice(open)
  }

  /** By halves: they lie in order. */
  #entryOf(offset: number): Entry | undefined {
    let [low, high] = [0, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle]?.offset ?? 0) < offset) low = middle + 1
      else high = middle
    }
    const found = this.#entries[low]
    return found?.offset === offset ? found : undefined
  }

  toRecord(): PositionRecord {
    const next = this.next
    const finished: number[] = []
    let open = true
    let before = next
    for (const entry of this.#entries) {
      if (entry.offset < next) continue
      // What lies between two messages is none: control records, which wait for nobody.
      if (entry.committed && open) finished.push(before + 1 - next, entry.offset - next)
      else if (entry.committed) finished[finished.length - 1] = entry.offset - next
      open = !entry.committed
      before = entry.offset
    }
    // So it is with what was read behind the last one.
    if (!open && finished.length > 0) finished[finished.length - 1] = this.readTo - 1 - next
    for (const [first, last] of this.#finishedBefore) {
      if (last >= this.readTo) finished.push(Math.max(first, this.readTo) - next, last - next)
    }
    return { topic: this.topic, next, finished, topicId: this.#topicId }
  }
}
