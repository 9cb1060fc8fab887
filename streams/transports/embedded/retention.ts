import type { Database } from '../../sqlite/database.ts'
import { messageId, offsetOf } from './layout.ts'
import { SharedTexts } from './shared-texts.ts'
import type { PartitionRow, TopicTable } from './topic-table.ts'

export interface RetentionOptions {
  /** Messages older than this go, from the start of a topic on. */
  maxAgeMs?: number
  /** What a topic may hold, shared out evenly among its partitions; the oldest messages go first. */
  maxBytesPerTopic?: number
  /** First offset that a task may still need; nothing at it or behind it goes. */
  floor: (topic: string, partition: number) => number
}

interface Candidate {
  id: number
  timestamp: number
  size: number
  text: number | null
}

/** Deletes in steps, so that the other processes can write in between. */
const stepMessages = 500

/** Deletes old messages of topics that are not compacted. */
export class Retention {
  readonly #database: Database
  readonly #topics: TopicTable
  readonly #options: RetentionOptions

  constructor(database: Database, topics: TopicTable, options: RetentionOptions) {
    this.#database = database
    this.#topics = topics
    this.#options = options
  }

  /** @returns How many messages it deleted. */
  async apply(now: number): Promise<number> {
    let deleted = 0
    for (const { name, partitions, compacted } of await this.#database.read(() => this.#topics.all())) {
      if (compacted) continue
      const maxBytes = (this.#options.maxBytesPerTopic ?? Number.POSITIVE_INFINITY) / partitions
      for (let partition = 0; partition < partitions; partition++) {
        const floor = this.#options.floor(name, partition)
        const step = () => this.#database.write(() => this.#step(name, partition, floor, maxBytes, now))
        for (let count = await step(); count > 0; count = await step()) deleted += count
      }
    }
    return deleted
  }

  #step(topic: string, partition: number, floor: number, maxBytes: number, now: number): number {
    const row = { ...this.#topics.partition(topic, partition) }
    const end = Math.min(row.next, floor)
    if (!(end > row.start)) return 0
    const candidates = this.#database
      .statement<Candidate>(
        'SELECT id, timestamp, size, text FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?',
      )
      .all(messageId(row.id, row.start), messageId(row.id, end), stepMessages)
    const oldest = now - (this.#options.maxAgeMs ?? Number.POSITIVE_INFINITY)
    const old: Candidate[] = []
    for (const candidate of candidates) {
      if (candidate.timestamp >= oldest && row.bytes <= maxBytes) break
      old.push(candidate)
      row.bytes -= candidate.size
    }
    this.#delete(row, old)
    return old.length
  }

  #delete(row: PartitionRow, old: readonly Candidate[]): void {
    const first = old[0]
    const last = old.at(-1)
    if (!first || !last) return
    this.#database.statement('DELETE FROM message WHERE id BETWEEN ? AND ?').run(first.id, last.id)
    new SharedTexts(this.#database).removeUnused(new Set(old.flatMap(({ text }) => text ?? [])))
    row.start = offsetOf(last.id) + 1
    row.records -= old.length
    this.#topics.save(row)
  }
}
