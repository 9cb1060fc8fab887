import { createRequire } from 'node:module'
import type { Message } from '../transport.ts'
import { headerAt, headerBytes, magic, parentHeader } from './record-batch.ts'

/** kafkajs has it, but does not export it. Throws for codecs that it does not have. */
const { lookupCodecByAttributes } = createRequire(import.meta.url)(
  'kafkajs/src/protocol/message/compression/index.js',
) as { lookupCodecByAttributes: (attributes: number) => { decompress(bytes: Buffer): Promise<Buffer> } | null }

const [appendTimeFlag, transactionalFlag, controlFlag] = [8, 16, 32]

/** One batch as it lies in the log. */
export interface RecordBatch {
  firstOffset: number
  /** Of the messages that were written; compaction may have taken it, and all others too. */
  lastOffset: number
  /** Writer of the batch. */
  producerId: number
  inTransaction: boolean
  /** It holds the end of a transaction, and no messages. */
  isControl: boolean
  attributes: number
  firstTime: number
  lastTime: number
  count: number
  /** The records, compressed where the attributes say so. */
  body: Buffer
}

/** The batches of a fetch; one that is cut off at the end is left out. @throws {RangeError} Not of Kafka's format 2. */
export function* batchesOf(bytes: Buffer): Generator<RecordBatch> {
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const version = bytes.readInt8(at + headerAt.magic)
    if (version !== magic) throw new RangeError(`a record batch of format ${version}, not ${magic}`)
    const length = headerAt.length + 4 + bytes.readInt32BE(at + headerAt.length)
    if (length < headerBytes) throw new RangeError(`a record batch of ${length} bytes`)
    if (at + length > bytes.length) return
    yield batchOf(bytes.subarray(at, at + length))
    at += length
  }
}

function batchOf(bytes: Buffer): RecordBatch {
  const firstOffset = Number(bytes.readBigInt64BE(0))
  const attributes = bytes.readInt16BE(headerAt.attributes)
  return {
    firstOffset,
    lastOffset: firstOffset + bytes.readInt32BE(headerAt.lastOffsetDelta),
    producerId: Number(bytes.readBigInt64BE(headerAt.producerId)),
    inTransaction: (attributes & transactionalFlag) !== 0,
    isControl: (attributes & controlFlag) !== 0,
    attributes,
    firstTime: Number(bytes.readBigInt64BE(headerAt.firstTime)),
    lastTime: Number(bytes.readBigInt64BE(headerAt.lastTime)),
    count: bytes.readInt32BE(headerAt.count),
    body: bytes.subarray(headerBytes),
  }
}

/** Whether the end of a transaction is an abort. Key of the record: version and type, 16 bits each; type 0 aborts. */
export function isAbort({ body, count }: RecordBatch): boolean {
  if (count === 0) return false
  const reader = new RecordReader(body)
  reader.beginRecord()
  const key = reader.bytes()
  return key !== null && key.length >= 4 && key.readInt16BE(2) === 0
}

/**
 * Adds the messages from an offset on. One object a message and no buffers but the values: kafkajs makes dozens.
 *
 * @throws {RangeError} The bytes are no records.
 */
export async function readMessages(
  batch: RecordBatch,
  { topic, partition, offset: from }: { topic: string; partition: number; offset: number },
  messages: Message[],
): Promise<void> {
  const { attributes, firstOffset, firstTime, lastTime, count, body } = batch
  const codec = lookupCodecByAttributes(attributes)
  const reader = new RecordReader(codec && count > 0 ? await codec.decompress(body) : body)
  for (let index = 0; index < count; index++) {
    const { end, time, delta } = reader.beginRecord()
    const key = reader.text()
    const value = reader.bytes()
    const parent = reader.header(parentHeader)
    if (!reader.isAt(end)) throw new RangeError(`record ${index} of the batch at ${firstOffset} is damaged`)
    const offset = firstOffset + delta
    if (offset < from) continue
    const timestamp = attributes & appendTimeFlag ? lastTime : firstTime + time
    messages.push({ topic, partition, offset, timestamp, key, value, parent })
  }
}

/** Numbers are varints of the zigzag form: even ones are twice the number, odd ones are below zero. */
class RecordReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Length, attributes, time and offset, the latter two as differences to those of the batch. */
  beginRecord(): { end: number; time: number; delta: number } {
    const length = this.#number()
    const end = this.#at + length
    if (length < 0 || end > this.#bytes.length) throw new RangeError(`a record of ${length} bytes`)
    this.#at++
    return { end, time: this.#number(), delta: this.#number() }
  }

  isAt(offset: number): boolean {
    return this.#at === offset
  }

  text(): string | null {
    const begin = this.#begin()
    return begin < 0 ? null : this.#bytes.toString('utf8', begin, this.#at)
  }

  bytes(): Buffer | null {
    const begin = this.#begin()
    return begin < 0 ? null : this.#bytes.subarray(begin, this.#at)
  }

  /** The first value of a header, of all headers of a record; null where it has none. */
  header(name: string): string | null {
    let found: string | null = null
    for (let left = this.#number(); left > 0; left--) {
      const isWanted = this.text() === name && found === null
      if (isWanted) found = this.text()
      else this.#begin()
    }
    return found
  }

  /** Passes what has a length before it. @returns Where it began; -1 where there is none. */
  #begin(): number {
    const size = this.#number()
    if (size < 0) return -1
    const begin = this.#at
    this.#at += size
    return begin
  }

  /** Without shifts: a difference of times may have more than 31 bits. */
  #number(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('the records end within one')
      if (byte < 128) {
        value += byte * scale
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      }
      value += (byte - 128) * scale
    }
  }
}
