import { SituError } from '../../../schemas/errors.ts'
import type { Batch, Message, ReadOptions } from '../transport.ts'
import type { Fetch } from './fetch.ts'
import type { Page, Place } from './page.ts'
import type { Watch } from './watch.ts'

export interface LogReadOptions extends ReadOptions {
  signal: AbortSignal
  /** What the partition holds, where that was asked for already. */
  bounds?: { start: number; end: number }
  /** An offset outside the log is POSITION_LOST: a task would leave something out. */
  strict?: boolean
}

/** Reads partitions in order, committed messages only. */
export class LogReader {
  readonly #fetch: Fetch
  readonly #watch: Watch

  constructor(fetch: Fetch, watch: Watch) {
    this.#fetch = fetch
    this.#watch = watch
  }

  async *read(topic: string, partition: number, from: number, options: LogReadOptions): AsyncGenerator<Batch> {
    const { signal, follow = false, maxMessages = 500 } = options
    const { start, end } = options.bounds ?? (await this.#fetch.bounds(topic, partition))
    const place: Place = { topic, partition, offset: Math.trunc(from) }
    if (place.offset < start) place.offset = this.#outside(place, start, end, options)
    let ahead: Promise<Page | null> | null = null
    try {
      while (!signal.aborted && (follow || place.offset < end)) {
        const page: Page | null = await (ahead ?? this.#fetch.page({ ...place }, { signal }))
        ahead = null
        const found = page?.next === place.offset && follow ? await this.#watch.next(place, signal) : page
        if (signal.aborted) return
        if (found === null) {
          if (page === null) place.offset = await this.#find(place, options)
          continue
        }
        place.offset = found.next
        if (found.next < found.stable && (follow || found.next < end)) ahead = this.#ahead(place, signal)
        for (const batch of slices(found, follow ? found.next : end, maxMessages)) {
          if (signal.aborted) return
          yield batch
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** The first message with this timestamp or a later one; the end where there is none. */
  async offsetAt(topic: string, partition: number, timestamp: number, signal: AbortSignal): Promise<number> {
    const bounds = await this.#fetch.bounds(topic, partition)
    const near = await this.#fetch.offsetNear(topic, partition, timestamp)
    if (near === null) return bounds.end
    for await (const { messages } of this.read(topic, partition, near, { signal, bounds })) {
      const found = messages.find(message => message.timestamp >= timestamp)
      if (found) return found.offset
    }
    return bounds.end
  }

  /** The first message from an offset on, where it is the one of this offset. */
  async at(topic: string, partition: number, offset: number): Promise<Message | null> {
    const page = await this.#fetch.page({ topic, partition, offset })
    const first = page?.messages[0]
    return first?.offset === offset ? first : null
  }

  /** The next page, while the reader works on this one. */
  #ahead(place: Place, signal: AbortSignal): Promise<Page | null> {
    const page = this.#fetch.page({ ...place }, { signal })
    page.catch(() => {})
    return page
  }

  async #find(place: Place, options: LogReadOptions): Promise<number> {
    const { start, end } = await this.#fetch.bounds(place.topic, place.partition)
    return place.offset < start || place.offset > end ? this.#outside(place, start, end, options) : place.offset
  }

  #outside({ topic, partition, offset }: Place, start: number, end: number, { strict }: LogReadOptions): number {
    if (!strict) return offset < start ? start : end
    const rule = `it holds offsets ${start} to ${end - 1}`
    throw new SituError('POSITION_LOST', `topic ${topic}, partition ${partition}: no offset ${offset}, ${rule}`)
  }
}

/** A page in batches of the wanted size. @param end - What lies behind it is left out. */
function* slices({ messages, next }: Page, end: number, maxMessages: number): Generator<Batch> {
  const seen = messages.filter(message => message.offset < end)
  const size = Math.max(1, Math.trunc(maxMessages))
  let begin = 0
  for (; begin + size < seen.length; begin += size) {
    const slice = seen.slice(begin, begin + size)
    yield { messages: slice, next: (slice.at(-1)?.offset ?? 0) + 1 }
  }
  yield { messages: seen.slice(begin), next: Math.min(next, end) }
}
