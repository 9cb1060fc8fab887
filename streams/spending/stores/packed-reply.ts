import { SituError } from '../../../schemas/errors.ts'
import { pack, unpack } from '../../sqlite/compression.ts'
import type { PaidReply } from '../store.ts'

/** A reply as it lies in a store. */
export interface PackedReply {
  form: number
  /** Bytes before compression. */
  size: number
  bytes: Uint8Array
}

export function packReply(reply: PaidReply): PackedReply {
  const json = Buffer.from(JSON.stringify(reply))
  const { form, bytes } = pack(json)
  return { form, size: json.length, bytes: bytes ?? json }
}

/**
 * @param place - Store and key, for the error.
 * @throws {SituError} DATA_CORRUPT
 */
export function unpackReply({ form, size, bytes }: PackedReply, place: string): PaidReply {
  try {
    return JSON.parse(Buffer.from(unpack({ form, bytes }, size) ?? []).toString()) as PaidReply
  } catch (cause) {
    throw new SituError('DATA_CORRUPT', `${place}: the reply is damaged`, { cause })
  }
}

const headerBytes = 5

/** One value for stores without columns: form, size (big-endian), bytes. */
export function joinPacked({ form, size, bytes }: PackedReply): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt8(form, 0)
  header.writeUInt32BE(size, 1)
  return Buffer.concat([header, bytes])
}

/** The opposite of `joinPacked`. */
export function splitPacked(value: Buffer): PackedReply {
  const header = Buffer.alloc(headerBytes)
  value.copy(header, 0, 0, headerBytes)
  return { form: header.readUInt8(0), size: header.readUInt32BE(1), bytes: value.subarray(headerBytes) }
}
