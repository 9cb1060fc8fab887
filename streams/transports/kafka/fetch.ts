import { SituError } from '../../../schemas/errors.ts'
import { rootOf, typeOf } from './broker-error.ts'
import type { Brokers, CallLimits } from './brokers.ts'
import { fetchBatches } from './fetch-request.ts'
import { wait } from './options.ts'
import { decodePage, type Page, type Place } from './page.ts'
import type { Broker } from './wire.ts'

/** Bytes of one page; a larger message comes alone. */
const pageBytes = 1 << 20
/** Offsets of a time: the start and the end of a partition. */
const [earliest, latest] = [-2, -1]
const [readUncommitted, readCommitted] = [0, 1] as const
/** How long the end of a partition waits for transactions that are open; less than whoever looks at health waits. */
const settleMs = 1500

export interface FetchRequest extends Place {
  maxWaitMs: number
}

/** Questions about single partitions: offsets, and pages of messages. */
export class Fetch {
  readonly #brokers: Brokers
  readonly #onFetch: () => void

  /** @param onFetch - Called when a broker has answered with a page. */
  constructor(brokers: Brokers, onFetch: () => void) {
    this.#brokers = brokers
    this.#onFetch = onFetch
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  async bounds(topic: string, partition: number): Promise<{ start: number; end: number }> {
    await this.#brokers.checkPartition(topic, partition)
    const [bounds] = await this.#bounds(topic, [partition])
    return { start: bounds?.start ?? 0, end: bounds?.end ?? 0 }
  }

  /**
   * Start and end of all partitions of a topic; `isOpen` where transactions that were open at the call still hide what
   * may have been committed behind them.
   *
   * @throws {SituError} TOPIC_UNKNOWN
   */
  async allBounds(topic: string): Promise<{ partition: number; start: number; end: number; isOpen: boolean }[]> {
    const count = await this.#brokers.partitionCount(topic)
    const partitions = Array.from({ length: count }, (_, partition) => partition)
    return this.#bounds(topic, partitions)
  }

  /** Resolves when the transactions that were open at the call have ended, however long they take, or with the client. */
  async settle(topic: string, partitions: readonly number[]): Promise<void> {
    await this.#settledEnds(topic, partitions, Number.POSITIVE_INFINITY)
  }

  /** Where to look for the first message of a time: a control record may come first. Null for the end. */
  async offsetNear(topic: string, partition: number, timestamp: number): Promise<number | null> {
    const offset = (await this.#offsets(topic, [partition], timestamp)).get(partition) ?? -1
    return offset === -1 ? null : offset
  }

  /**
   * One page; empty, with `next` at the place itself, where there is nothing more to see.
   *
   * @returns Null where the place lies outside the log.
   * @throws {SituError} DATA_CORRUPT
   */
  async page(place: Place, limits: CallLimits = {}): Promise<Page | null> {
    const page = await this.#page({ ...place, maxWaitMs: 0 }, limits)
    if (!page || page.next > place.offset || page.stable <= place.offset) return page
    // There is something, and yet nothing came: slow storage.
    return this.#page({ ...place, maxWaitMs: 500 }, limits)
  }

  async #page(request: FetchRequest, limits: CallLimits): Promise<Page | null> {
    const { topic, partition, offset } = request
    const what = `topic ${topic}, partition ${partition}, offset ${offset}`
    try {
      return await this.#brokers.call(
        what,
        async () => {
          const broker = await this.#brokers.leader(topic, partition)
          const [page] = await this.fetchFrom(broker, [request], request.maxWaitMs)
          return page ?? null
        },
        limits,
      )
    } catch (error) {
      if (typeOf(error) === 'OFFSET_OUT_OF_RANGE') return null
      throw isUnreadable(error)
        ? new SituError('DATA_CORRUPT', `${what}: ${rootOf(error).message}`, { cause: error })
        : error
    }
  }

  /** Asks one broker for the next pages of several partitions, each named once. To be called within `call`. */
  async fetchFrom(broker: Broker, places: readonly Place[], maxWaitMs: number): Promise<Page[]> {
    const topics = [...Map.groupBy(places, place => place.topic)].map(([topic, wanted]) => ({
      topic: this.#brokers.wireName(topic),
      partitions: wanted.map(({ partition, offset }) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes: pageBytes,
      })),
    }))
    const maxBytes = pageBytes * Math.min(8, places.length)
    const responses = await fetchBatches(broker, topics, { maxWaitMs, maxBytes })
    this.#onFetch()
    const fetched = new Map(
      responses.flatMap(({ topicName, partitions }) =>
        partitions.map(partition => [`${topicName}/${partition.partition}`, partition] as const),
      ),
    )
    return Promise.all(
      places.map(place => {
        const found = fetched.get(`${this.#brokers.wireName(place.topic)}/${place.partition}`)
        return found ? decodePage(place, found) : { messages: [], next: place.offset, stable: place.offset }
      }),
    )
  }

  async #bounds(topic: string, partitions: readonly number[]) {
    const [starts, ends] = await Promise.all([
      this.#offsets(topic, partitions, earliest),
      this.#settledEnds(topic, partitions),
    ])
    return partitions.map(partition => ({
      partition,
      start: starts.get(partition) ?? 0,
      end: ends.ends.get(partition) ?? 0,
      isOpen: ends.open.includes(partition),
    }))
  }

  /**
   * The offsets behind the last messages that readers of committed messages may see, when the transactions that were
   * open at the call have ended: a commit is answered some milliseconds before its messages can be seen, and a writer
   * that asks for the end must find what it wrote. Long transactions of others are not waited for to the end.
   */
  async #settledEnds(
    topic: string,
    partitions: readonly number[],
    withinMs = settleMs,
  ): Promise<{ ends: Map<number, number>; open: number[] }> {
    const [ends, all] = await Promise.all([
      this.#offsets(topic, partitions, latest),
      this.#offsets(topic, partitions, latest, readUncommitted),
    ])
    const deadline = Date.now() + withinMs
    const isOpen = (partition: number) => (ends.get(partition) ?? 0) < (all.get(partition) ?? 0)
    let open = partitions.filter(isOpen)
    for (let pauseMs = 1; open.length > 0 && Date.now() < deadline; pauseMs = Math.min(pauseMs * 2, 50)) {
      await wait(pauseMs, this.#brokers.closing)
      if (this.#brokers.closing.aborted) break
      for (const [partition, end] of await this.#offsets(topic, open, latest)) ends.set(partition, end)
      open = open.filter(isOpen)
    }
    return { ends, open }
  }

  /** Offsets by partition; one request to each leader. */
  #offsets(
    topic: string,
    partitions: readonly number[],
    timestamp: number,
    isolationLevel: 0 | 1 = readCommitted,
  ): Promise<Map<number, number>> {
    return this.#brokers.call(`offsets of topic ${topic}`, async () => {
      const byLeader = new Map<Broker, number[]>()
      for (const partition of partitions) {
        const leader = await this.#brokers.leader(topic, partition)
        byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition])
      }
      const answers = await Promise.all(
        [...byLeader].map(([leader, group]) => {
          const wanted = group.map(partition => ({ partition, timestamp }))
          const topics = [{ topic: this.#brokers.wireName(topic), partitions: wanted }]
          return leader.listOffsets({ isolationLevel, topics })
        }),
      )
      const found = answers.flatMap(({ responses }) => responses.flatMap(response => response.partitions))
      return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]))
    })
  }
}

/** Anything that went wrong in decoding bytes, not in fetching them. */
function isUnreadable(error: unknown): boolean {
  const { name, code } = rootOf(error) as { name?: string; code?: string }
  return name === 'RangeError' || name === 'TypeError' || /^ZSTD_|^Z_|ERR_/.test(String(code))
}
