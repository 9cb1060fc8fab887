import { messageOf, SituError } from '../../../schemas/errors.ts'
import { forms, unpack } from '../../sqlite/compression.ts'
import type { Database } from '../../sqlite/database.ts'
import { checkCompacted, messageBytes } from '../outgoing.ts'
import type { Batch, Message } from '../transport.ts'
import { messageId, offsetOf, partitionIdOf } from './layout.ts'
import type { TopicTable } from './topic-table.ts'

const columns = `m.id, m.timestamp, m.key, m.parent, m.size, m.form, m.value, m.cut, m.shared,
  t.form AS textForm, t.size AS textSize, t.bytes AS textBytes`
const source = `message m LEFT JOIN text t ON t.id = m.text`

interface Row {
  id: number
  timestamp: number
  key: string
  parent: string | null
  size: number
  form: number
  value: Uint8Array | null
  cut: number | null
  shared: number | null
  textForm: number | null
  textSize: number | null
  textBytes: Uint8Array | null
}

/** Most messages in a page, and most bytes of them after the first: what one turn of the process reads. */
export const maxPageMessages = 1000
const maxPageBytes = 8 << 20

/** Reads messages in pages. Its methods run within a read of the database. */
export class MessageReader {
  readonly #database: Database
  readonly #topics: TopicTable

  constructor(database: Database, topics: TopicTable) {
    this.#database = database
    this.#topics = topics
  }

  /**
   * The next page of a partition.
   *
   * @param until - Offset to stop at; the end where it is null.
   * @returns Null where there is nothing before the end.
   */
  page(topic: string, partition: number, from: number, until: number | null, maxMessages: number): Batch | null {
    const { id, next } = this.#topics.partition(topic, partition)
    const end = Math.min(next, until ?? next)
    if (from >= end) return null
    const range = { from: messageId(id, from), to: messageId(id, end) }
    const { messages, complete } = this.#rows(topic, range, maxMessages)
    return { messages, next: complete ? end : (messages.at(-1)?.offset ?? from) + 1 }
  }

  /**
   * The next page of the messages that have a value.
   *
   * @param after - Where the last page ended; null for the first.
   */
  compactedPage(topic: string, partition: number | undefined, after: number | null): ScanPage {
    checkCompacted(this.#topics.topic(topic))
    const range = this.#topics.range(topic, partition)
    const { messages, lastId, complete } = this.#rows(topic, { ...range, from: after ?? range.from }, maxPageMessages)
    return { messages: messages.filter(({ value }) => value !== null), after: complete ? null : lastId + 1 }
  }

  /** The next page of the messages made from a record. */
  childrenPage(topic: string, parent: string, after: number | null): ScanPage {
    const { from, to } = this.#topics.range(topic)
    const sql = `SELECT ${columns} FROM ${source} WHERE m.parent = ? AND m.id >= ? AND m.id < ? ORDER BY m.id LIMIT ?`
    const rows = this.#database.statement<Row>(sql).iterate(parent, after ?? from, to, maxPageMessages)
    const { messages, lastId, complete } = this.#take(topic, rows, maxPageMessages)
    return { messages, after: complete ? null : lastId + 1 }
  }

  get(topic: string, key: string): Message | null {
    const { partitions } = this.#topics.topic(topic)
    const sql = `SELECT ${columns} FROM ${source} WHERE m.key = ? AND m.id >= ? AND m.id < ? ORDER BY m.id DESC LIMIT 1`
    let newest: Row | null = null
    for (let partition = 0; partition < partitions; partition++) {
      const { from, to } = this.#topics.range(topic, partition)
      const row = this.#database.statement<Row>(sql).get(key, from, to)
      if (row && (newest === null || row.timestamp >= newest.timestamp)) newest = row
    }
    return newest === null || newest.form === forms.none ? null : this.#message(topic, newest)
  }

  /** Timestamps of a partition never fall, so that its messages can be searched by halves. */
  offsetAt(topic: string, partition: number, timestamp: number): number {
    const { id, start, next } = this.#topics.partition(topic, partition)
    const statement = this.#database.statement(
      'SELECT id, timestamp FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT 1',
    )
    let low = start
    let high = next
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = statement.get(messageId(id, middle), messageId(id, high))
      if (!row || Number(row.timestamp) >= timestamp) high = middle
      else low = offsetOf(Number(row.id)) + 1
    }
    return Math.min(this.#atOrBehind(id, low, next), next)
  }

  /** Offset of the first message at this offset or behind it. */
  #atOrBehind(id: number, offset: number, next: number): number {
    const row = this.#database
      .statement('SELECT id FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT 1')
      .get(messageId(id, offset), messageId(id, next))
    return row ? offsetOf(Number(row.id)) : next
  }

  #rows(topic: string, { from, to }: { from: number; to: number }, limit: number): Taken {
    const sql = `SELECT ${columns} FROM ${source} WHERE m.id >= ? AND m.id < ? ORDER BY m.id LIMIT ?`
    return this.#take(topic, this.#database.statement<Row>(sql).iterate(from, to, limit), limit)
  }

  #take(topic: string, rows: Iterable<Row>, limit: number): Taken {
    const messages: Message[] = []
    let bytes = 0
    let lastId = 0
    let full = false
    for (const row of rows) {
      messages.push(this.#message(topic, row))
      lastId = row.id
      bytes += row.size
      full = messages.length >= limit || bytes >= maxPageBytes
      if (full) break
    }
    return { messages, lastId, complete: !full }
  }

  #message(topic: string, row: Row): Message {
    const { firstPartition } = this.#topics.topic(topic)
    const partition = partitionIdOf(row.id) - firstPartition
    const offset = offsetOf(row.id)
    const { timestamp, key, parent } = row
    try {
      const value = wholeValue(row)
      const size = messageBytes({ key, value })
      if (size !== row.size) throw new Error(`${size} bytes instead of ${row.size}`)
      return { topic, partition, offset, timestamp, key, value, parent }
    } catch (cause) {
      const place = `${this.#database.path}, topic ${topic}, partition ${partition}, offset ${offset}`
      throw new SituError('DATA_CORRUPT', `${place}: the message is damaged: ${messageOf(cause)}`, { cause })
    }
  }
}

export interface ScanPage {
  messages: Message[]
  /** Where to go on; null at the end. */
  after: number | null
}

interface Taken {
  messages: Message[]
  lastId: number
  /** Nothing is left in the range. */
  complete: boolean
}

function wholeValue(row: Row): Uint8Array | null {
  const rest = unpack({ form: row.form, bytes: row.value }, row.size)
  if (rest === null || row.cut === null) return rest
  const { textForm, textSize, textBytes, shared, cut } = row
  const whole = unpack({ form: textForm ?? -1, bytes: textBytes }, textSize ?? 0)
  if (whole === null || shared === null || whole.length < shared) throw new Error('its text is not there')
  return Buffer.concat([rest.subarray(0, cut), whole.subarray(0, shared), rest.subarray(cut)])
}
