import { forms, pack } from '../../sqlite/compression.ts'
import type { Database } from '../../sqlite/database.ts'
import { OutgoingCheck } from '../outgoing.ts'
import type { OutgoingMessage, Transport } from '../transport.ts'
import { messageId } from './layout.ts'
import { findText, minSharedBytes, SharedTexts, type TextReference } from './shared-texts.ts'
import type { PartitionRow, TopicTable } from './topic-table.ts'

interface Body {
  /** The value without the shared text. */
  rest: Uint8Array | null
  text: TextReference | null
  cut: number | null
}

/** Appends the messages of one commit. Made anew for each; all of it runs within one write of the database. */
export class MessageWriter {
  readonly #database: Database
  readonly #topics: TopicTable
  readonly #texts: SharedTexts
  readonly #check: OutgoingCheck
  readonly #now: number
  readonly #partitions = new Map<number, PartitionRow>()
  /** The same shared text comes in many messages of a commit. */
  readonly #references = new Map<string, { bytes: Uint8Array; reference: TextReference }>()

  constructor(database: Database, topics: TopicTable, limits: Transport['limits'], now: number) {
    this.#database = database
    this.#topics = topics
    this.#texts = new SharedTexts(database)
    this.#check = new OutgoingCheck(limits, name => topics.topic(name))
    this.#now = Math.trunc(now)
  }

  /** @returns How many `ifAbsent` messages were there already. */
  append(messages: readonly OutgoingMessage[], finish?: (alreadyThere: number) => OutgoingMessage): number {
    let alreadyThere = 0
    for (const message of messages) if (!this.#append(message)) alreadyThere++
    if (finish) this.#append(finish(alreadyThere))
    for (const row of this.#partitions.values()) this.#topics.save(row)
    return alreadyThere
  }

  #append(message: OutgoingMessage): boolean {
    const size = this.#check.check(message)
    const topic = this.#topics.topic(message.topic)
    if (message.ifAbsent && this.#holds(message.topic, message.key)) return false
    const partition = this.#partition(message)
    if (topic.compacted) this.#removeOlder(partition, message.key)
    const timestamp = Math.max(Math.trunc(message.timestamp ?? this.#now), partition.newest ?? 0)
    this.#insert(messageId(partition.id, partition.next), timestamp, size, message)
    partition.next++
    partition.written++
    partition.bytes += size
    partition.newest = timestamp
    // A tombstone stays, for those who follow, but is no record of a compacted topic.
    if (message.value !== null || !topic.compacted) partition.records++
    return true
  }

  #insert(id: number, timestamp: number, size: number, message: OutgoingMessage): void {
    const { rest, text, cut } = this.#split(message)
    const packed = pack(rest)
    this.#database
      .statement(
        `INSERT INTO message (id, timestamp, key, parent, size, form, value, text, cut, shared)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        id,
        timestamp,
        message.key,
        message.parent ?? null,
        size,
        packed.form,
        packed.bytes,
        text?.id ?? null,
        cut,
        text?.length ?? null,
      )
  }

  #split({ value, shared }: OutgoingMessage): Body {
    const whole = { rest: value, text: null, cut: null }
    if (value === null || !shared || shared.length > value.length) return whole
    const known = this.#references.get(shared)
    const bytes = known?.bytes ?? Buffer.from(shared)
    if (bytes.length < minSharedBytes) return whole
    const cut = findText(value, bytes)
    if (cut < 0) return whole
    const reference = known?.reference ?? this.#texts.put(bytes)
    if (!known) this.#references.set(shared, { bytes, reference })
    const rest = Buffer.concat([value.subarray(0, cut), value.subarray(cut + bytes.length)])
    return { rest, text: reference, cut }
  }

  #partition({ topic, partition }: OutgoingMessage): PartitionRow {
    const id = this.#topics.partitionId(topic, partition)
    let row = this.#partitions.get(id)
    if (!row) {
      row = { ...this.#topics.partition(topic, partition) }
      // Its own id: the one known before may be that of a topic that was removed and made anew.
      this.#partitions.set(row.id, row)
    }
    return row
  }

  #holds(topic: string, key: string): boolean {
    const { from, to } = this.#topics.range(topic)
    const row = this.#database
      .statement('SELECT form FROM message WHERE key = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT 1')
      .get(key, from, to)
    return row !== undefined && row.form !== forms.none
  }

  #removeOlder(partition: PartitionRow, key: string): void {
    const older = this.#database
      .statement('SELECT id, size, form, text FROM message WHERE key = ? AND id >= ? AND id < ?')
      .all(key, messageId(partition.id, 0), messageId(partition.id + 1, 0))
    for (const { id, size, form, text } of older) {
      this.#database.statement('DELETE FROM message WHERE id = ?').run(Number(id))
      partition.bytes -= Number(size)
      if (form !== forms.none) partition.records--
      if (text === null) continue
      this.#references.clear()
      this.#texts.removeUnused([Number(text)])
    }
  }
}
