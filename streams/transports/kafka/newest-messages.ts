import { inRounds } from '../../rounds.ts'
import type { Message } from '../transport.ts'
import type { Fetch } from './fetch.ts'
import type { LogReader } from './log-reader.ts'

/** A larger value is not kept, but read again where it is asked for. */
const keptBytes = 16_384

interface Newest {
  message: Message
  isWhole: boolean
}

/**
 * The newest message of each key of a compacted topic, kept up to date by reading on: each question first reads to the
 * end as of its call.
 */
export class NewestMessages {
  readonly #topic: string
  readonly #fetch: Fetch
  readonly #reader: LogReader
  readonly #signal: AbortSignal
  readonly #byKey = new Map<string, Newest>()
  readonly #positions = new Map<number, number>()
  /** Partitions of which the last round saw less than was committed at its beginning. */
  #open: readonly number[] = []
  readonly #catchUp = inRounds(() => this.#readOn())

  constructor(topic: string, fetch: Fetch, reader: LogReader, signal: AbortSignal) {
    this.#topic = topic
    this.#fetch = fetch
    this.#reader = reader
    this.#signal = signal
  }

  async get(key: string): Promise<Message | null> {
    await this.#catchUp()
    const known = this.#byKey.get(key)?.message.partition
    const hidden = this.#open.filter(partition => (known ?? partition) === partition)
    // A transaction that a dead writer has left open must not bring an earlier position of a task back.
    if (hidden.length > 0) {
      await this.#fetch.settle(this.#topic, hidden)
      await this.#catchUp()
    }
    for (;;) {
      const newest = this.#byKey.get(key)
      if (!newest || newest.isWhole) return newest?.message ?? null
      const { partition, offset } = newest.message
      const message = await this.#reader.at(this.#topic, partition, offset)
      // Else compaction has taken it, since there is a newer one.
      if (message) return message
      await this.#catchUp()
    }
  }

  async #readOn(): Promise<void> {
    const bounds = await this.#fetch.allBounds(this.#topic)
    // The topic was deleted, and made again.
    if (bounds.some(({ partition, end }) => end < (this.#positions.get(partition) ?? 0))) {
      this.#positions.clear()
      this.#byKey.clear()
    }
    const behind = bounds.filter(({ partition, end }) => end > (this.#positions.get(partition) ?? 0))
    await Promise.all(behind.map(place => this.#readPartition(place)))
    this.#open = bounds.filter(({ isOpen }) => isOpen).map(({ partition }) => partition)
  }

  async #readPartition({ partition, start, end }: { partition: number; start: number; end: number }): Promise<void> {
    const from = Math.max(start, this.#positions.get(partition) ?? 0)
    const options = { signal: this.#signal, bounds: { start, end } }
    for await (const { messages, next } of this.#reader.read(this.#topic, partition, from, options)) {
      for (const message of messages) this.#take(message)
      this.#positions.set(partition, next)
    }
  }

  #take(message: Message): void {
    const { key, value } = message
    if (key === null) return
    if (value === null) this.#byKey.delete(key)
    else if (value.length > keptBytes) this.#byKey.set(key, { message: { ...message, value: null }, isWhole: false })
    // A copy: the value is a view of a page of up to 1 MB.
    else this.#byKey.set(key, { message: { ...message, value: Uint8Array.from(value) }, isWhole: true })
  }
}
