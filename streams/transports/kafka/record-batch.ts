import { createRequire } from 'node:module'
import type { OutgoingMessage } from '../transport.ts'
import { compressZstd, zstd } from './wire.ts'

/** kafkajs has it, but does not export it. */
const crc32c = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C/index.js') as (
  bytes: Buffer,
) => number

/** Id of the record that a message was made from. */
export const parentHeader = 'situ-parent'

/** Format of the batches. */
export const magic = 2
export const headerBytes = 61
/** Where the fields of a batch's header lie; its first offset lies at 0. */
export const headerAt = {
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTime: 27,
  lastTime: 35,
  producerId: 43,
  producerEpoch: 51,
  firstSequence: 53,
  count: 57,
}
const transactional = 16
/** Lengths, attributes, time, offset and number of headers of one record, at most. */
const recordOverheadBytes = 40
const headerName = Buffer.from(parentHeader)

export interface BatchIdentity {
  producerId: string
  producerEpoch: number
  firstSequence: number
}

/**
 * A transactional batch in Kafka's record format (magic 2), compressed with zstd. In one buffer: kafkajs makes several
 * for each message, which takes more time than all else in a commit.
 *
 * @param now - Time of the messages that have none of their own.
 */
export async function encodeBatch(
  messages: readonly OutgoingMessage[],
  { producerId, producerEpoch, firstSequence }: BatchIdentity,
  now: number,
): Promise<Buffer> {
  const times = messages.map(({ timestamp }) => timestamp ?? now)
  const first = times.reduce((least, time) => Math.min(least, time), times[0] ?? now)
  const last = times.reduce((most, time) => Math.max(most, time), first)
  const records = await compressZstd(encodeRecords(messages, times, first))
  const batch = Buffer.allocUnsafe(headerBytes + records.length)
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - headerAt.length - 4, headerAt.length)
  batch.writeInt32BE(0, headerAt.leaderEpoch)
  batch.writeInt8(magic, headerAt.magic)
  batch.writeInt16BE(zstd | transactional, headerAt.attributes)
  batch.writeInt32BE(messages.length - 1, headerAt.lastOffsetDelta)
  batch.writeBigInt64BE(BigInt(first), headerAt.firstTime)
  batch.writeBigInt64BE(BigInt(last), headerAt.lastTime)
  batch.writeBigInt64BE(BigInt(producerId), headerAt.producerId)
  batch.writeInt16BE(producerEpoch, headerAt.producerEpoch)
  batch.writeInt32BE(firstSequence, headerAt.firstSequence)
  batch.writeInt32BE(messages.length, headerAt.count)
  records.copy(batch, headerBytes)
  batch.writeUInt32BE(crc32c(batch.subarray(headerAt.attributes)), headerAt.crc)
  return batch
}

function encodeRecords(messages: readonly OutgoingMessage[], times: readonly number[], first: number): Buffer {
  let most = 0
  for (const { key, value, parent } of messages) {
    // A character takes at most 3 bytes in UTF-8.
    most += recordOverheadBytes + headerName.length + 3 * (key.length + (parent?.length ?? 0)) + (value?.length ?? 0)
  }
  const writer = new RecordWriter(Buffer.allocUnsafe(most))
  for (const [index, message] of messages.entries()) writer.write(message, (times[index] ?? first) - first, index)
  return writer.written
}

/** Numbers are written as varints of the zigzag form: twice the number, where it is not negative. */
class RecordWriter {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#offset)
  }

  write({ key, value, parent }: OutgoingMessage, time: number, offset: number): void {
    const keyBytes = Buffer.byteLength(key)
    const parentBytes = typeof parent === 'string' ? Buffer.byteLength(parent) : -1
    const size =
      1 +
      varintBytes(2 * time) +
      varintBytes(2 * offset) +
      sizedBytes(keyBytes) +
      (value ? sizedBytes(value.length) : 1) +
      1 +
      (parentBytes < 0 ? 0 : sizedBytes(headerName.length) + sizedBytes(parentBytes))
    this.#number(size)
    this.#bytes[this.#offset++] = 0
    this.#number(time)
    this.#number(offset)
    this.#text(key, keyBytes)
    if (value) this.#raw(value)
    else this.#varint(1)
    this.#number(parentBytes < 0 ? 0 : 1)
    if (typeof parent !== 'string') return
    this.#raw(headerName)
    this.#text(parent, parentBytes)
  }

  #number(number: number): void {
    this.#varint(2 * number)
  }

  #text(text: string, bytes: number): void {
    this.#number(bytes)
    this.#offset += this.#bytes.write(text, this.#offset, 'utf8')
  }

  #raw(bytes: Uint8Array): void {
    this.#number(bytes.length)
    this.#bytes.set(bytes, this.#offset)
    this.#offset += bytes.length
  }

  /** Without shifts: a difference of times may have more than 31 bits. */
  #varint(number: number): void {
    let rest = number
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.#offset++] = (rest % 128) + 128
    this.#bytes[this.#offset++] = rest
  }
}

function varintBytes(number: number): number {
  let count = 1
  for (let rest = number; rest >= 128; rest = Math.floor(rest / 128)) count++
  return count
}

function sizedBytes(length: number): number {
  return varintBytes(2 * length) + length
}
