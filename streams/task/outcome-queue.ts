import type { Outcome } from './outcome.ts'
import type { Position } from './position.ts'
import type { RetryRequest } from './retry-requests.ts'

/** An outcome on its way into a commit. */
export interface Completed extends Outcome {
  position: Position
  offset: number
  /** For a dead letter put back to work, whose input is not taken anew. Null for a first outcome. */
  request: RetryRequest | null
}

/** Outcomes that wait for a commit, and what of them the next one takes. */
export class OutcomeQueue {
  readonly #ordered: boolean
  #waiting: Completed[] = []
  #bytes = 0
  /** Places of the inputs whose outputs are not written yet, in order; empty unless order is asked for. */
  readonly #order: string[] = []

  /** @param ordered - Outputs are to be written in the order of their inputs. */
  constructor(ordered: boolean) {
    this.#ordered = ordered
  }

  get size(): number {
    return this.#waiting.length
  }

  /** Of the messages of all that wait. */
  get bytes(): number {
    return this.#bytes
  }

  /** An input was taken, whose outcome will come. */
  expect({ topic }: Position, offset: number): void {
    if (this.#ordered) this.#order.push(placeOf(topic, offset))
  }

  add(completed: Completed): void {
    this.#waiting.push(completed)
    this.#bytes += bytesOf(completed)
  }

  /** Takes all that may be committed now. */
  takeAll(): Completed[] {
    return this.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  }

  /** Takes those that may be committed now, bounded in number and in bytes a partition; one at least, where there is. */
  take(maxRecords: number, maxBytes: number): Completed[] {
    const ready = this.#ordered ? this.#inOrder() : this.#waiting
    const chunk = ready.slice(0, countThatFit(ready, maxRecords, maxBytes))
    if (ready === this.#waiting) this.#waiting = ready.slice(chunk.length)
    else {
      const gone = new Set(chunk)
      this.#waiting = this.#waiting.filter(completed => !gone.has(completed))
    }
    this.#bytes -= chunk.reduce((sum, completed) => sum + bytesOf(completed), 0)
    return chunk
  }

  /** Retries, and those others that no open record stands before. */
  #inOrder(): Completed[] {
    const ready = this.#waiting.filter(({ request }) => request !== null)
    const byPlace = new Map(this.#waiting.map(done => [placeOf(done.position.topic, done.offset), done]))
    for (const place of this.#order) {
      const completed = byPlace.get(place)
      if (!completed) break
      ready.push(completed)
    }
    return ready
  }

  /** What was taken is written: what comes after it may follow. */
  committed(chunk: readonly Completed[]): void {
    if (this.#order.length === 0) return
    const done = new Set(chunk.map(({ position, offset }) => placeOf(position.topic, offset)))
    while (done.has(this.#order[0] ?? '')) this.#order.shift()
  }
}

function countThatFit(ready: readonly Completed[], maxRecords: number, maxBytes: number): number {
  const bytes = new Map<string, number>()
  let most = 0
  let count = 0
  for (const { messages } of ready) {
    for (const { topic, partition, key, value } of messages) {
      const place = placeOf(topic, partition)
      const sum = (bytes.get(place) ?? 0) + key.length + (value?.length ?? 0)
      bytes.set(place, sum)
      if (sum > most) most = sum
    }
    if (count > 0 && (count >= maxRecords || most > maxBytes)) break
    count++
  }
  return count
}

function placeOf(topic: string, number: number): string {
  return `${topic}/${number}`
}

function bytesOf({ messages }: Outcome): number {
  return messages.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0)
}
