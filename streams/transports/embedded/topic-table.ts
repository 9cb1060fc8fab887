import { SituError } from '../../../schemas/errors.ts'
import type { Database } from '../../sqlite/database.ts'
import { checkPartition, unknownTopic } from '../outgoing.ts'
import type { TopicInfo, TopicSpec } from '../transport.ts'
import { maxPartitions, messageId } from './layout.ts'

export interface Topic extends TopicSpec {
  id: number
  /** Id of partition 0; the others follow. */
  firstPartition: number
}

/** A partition's counters, kept with each change in the same transaction. */
export interface PartitionRow {
  id: number
  /** Id of its topic. */
  topic: number
  start: number
  next: number
  records: number
  written: number
  bytes: number
  newest: number | null
}

/** Ids from the first to the one behind the last. */
export interface IdRange {
  from: number
  to: number
}

/** Topics and partitions. Its methods run within a read or a write of the database. */
export class TopicTable {
  readonly #database: Database
  /** A topic never changes while it is there; each is checked against its partition before it is used. */
  readonly #topics = new Map<string, Topic>()

  constructor(database: Database) {
    this.#database = database
  }

  find(name: string): Topic | null {
    return this.#topics.get(name) ?? this.read(name)
  }

  /** As it is now: another process may have removed it, or made it anew. */
  read(name: string): Topic | null {
    this.#topics.delete(name)
    const row = this.#database.statement('SELECT * FROM topic WHERE name = ?').get(name)
    if (!row) return null
    const topic: Topic = {
      id: Number(row.id),
      name,
      partitions: Number(row.partitions),
      compacted: row.compacted === 1,
      firstPartition: Number(row.first_partition),
    }
    this.#topics.set(name, topic)
    return topic
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  topic(name: string): Topic {
    const topic = this.find(name)
    if (!topic) throw unknownTopic(name)
    return topic
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  partition(name: string, partition: number): PartitionRow {
    const row = this.#partitionRow(this.partitionId(name, partition))
    if (row?.topic === this.topic(name).id) return row
    this.read(name)
    const fresh = this.#partitionRow(this.partitionId(name, partition))
    if (fresh?.topic === this.topic(name).id) return fresh
    throw new SituError('DATA_CORRUPT', `${this.#database.path}: no row for ${name}/${partition}`)
  }

  #partitionRow(id: number): PartitionRow | undefined {
    return this.#database.statement<PartitionRow>('SELECT * FROM partition WHERE id = ?').get(id)
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  partitionId(name: string, partition: number): number {
    const topic = this.topic(name)
    checkPartition(topic, partition)
    return topic.firstPartition + partition
  }

  save({ id, start, next, records, written, bytes, newest }: PartitionRow): void {
    this.#database
      .statement(
        'UPDATE partition SET start = ?, next = ?, records = ?, written = ?, bytes = ?, newest = ? WHERE id = ?',
      )
      .run(start, next, records, written, bytes, newest, id)
  }

  /** The messages of a topic, or of one partition of it. */
  range(name: string, partition?: number): IdRange {
    this.partition(name, partition ?? 0)
    if (partition === undefined) {
      const { firstPartition, partitions } = this.topic(name)
      return { from: messageId(firstPartition, 0), to: messageId(firstPartition + partitions, 0) }
    }
    const id = this.partitionId(name, partition)
    return { from: messageId(id, 0), to: messageId(id + 1, 0) }
  }

  create({ name, partitions, compacted }: TopicSpec): void {
    const row = this.#database.statement('SELECT coalesce(max(id), 0) + 1 AS first FROM partition').get()
    const first = Number(row?.first)
    if (first + partitions > maxPartitions) {
      throw new SituError(
        'CONFIGURATION_INVALID',
        `topic ${name}: with ${partitions} partitions more, there would be over ${maxPartitions - 1} in all`,
      )
    }
    const { lastInsertRowid } = this.#database
      .statement('INSERT INTO topic (name, partitions, compacted, first_partition) VALUES (?, ?, ?, ?)')
      .run(name, partitions, compacted ? 1 : 0, first)
    const insert = this.#database.statement('INSERT INTO partition VALUES (?, ?, 0, 0, 0, 0, 0, NULL)')
    for (let number = 0; number < partitions; number++) insert.run(first + number, lastInsertRowid)
  }

  /**
   * Takes topics out of the list. Their partitions stay as rows of no topic, so that no id is used twice: another
   * process may still know it.
   */
  remove(names: readonly string[]): void {
    for (const name of names) {
      const topic = this.read(name)
      if (!topic) continue
      this.#database.statement('UPDATE partition SET topic = 0 WHERE topic = ?').run(topic.id)
      this.#database.statement('DELETE FROM topic WHERE id = ?').run(topic.id)
      this.#topics.delete(name)
    }
  }

  all(): TopicInfo[] {
    const rows = this.#database
      .statement(
        `SELECT t.name, t.partitions, t.compacted, sum(p.records) AS records, sum(p.written) AS written,
           sum(p.bytes) AS bytes, max(p.newest) AS newest
         FROM topic t JOIN partition p ON p.topic = t.id GROUP BY t.id ORDER BY t.id`,
      )
      .all()
    return rows.map(row => ({
      name: String(row.name),
      partitions: Number(row.partitions),
      compacted: row.compacted === 1,
      records: Number(row.records),
      written: Number(row.written),
      bytes: Number(row.bytes),
      newest: row.newest === null ? null : Number(row.newest),
    }))
  }

  bounds(): { topic: string; partition: number; start: number; end: number }[] {
    const rows = this.#database
      .statement(
        `SELECT t.name, p.id - t.first_partition AS number, p.start, p.next
         FROM partition p JOIN topic t ON t.id = p.topic ORDER BY p.id`,
      )
      .all()
    return rows.map(({ name, number, start, next }) => {
      return { topic: String(name), partition: Number(number), start: Number(start), end: Number(next) }
    })
  }
}
