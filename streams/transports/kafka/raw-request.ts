import type { Broker } from './wire.ts'

/** A request that kafkajs does not have, or not in the version that tells what we want to know. */
export interface RawRequest<T> {
  apiKey: number
  apiVersion: number
  apiName: string
  body: Buffer
  read: (answer: Answer) => T
}

/** Sends a request as it is, and reads its answer from behind the header. */
export function sendRaw<T>(broker: Broker, { body, read, ...request }: RawRequest<T>): Promise<T> {
  return broker.connectionPool.send({
    // kafkajs takes an encoder of its own, of which it uses these two.
    request: { ...request, encode: async () => ({ buf: body, buffer: body }) },
    response: { decode: async answer => read(new Answer(answer)), parse: async decoded => decoded },
  })
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** How compact strings and arrays begin: with one more than they hold. */
export function compactLength(length: number): Buffer {
  const bytes: number[] = []
  let rest = length + 1
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

export function string(text: string): Buffer {
  const length = Buffer.alloc(2)
  length.writeInt16BE(Buffer.byteLength(text))
  return Buffer.concat([length, Buffer.from(text)])
}

/** An answer, from whose front values are taken; in the words of Kafka's protocol. */
export class Answer {
  #rest: Buffer

  constructor(bytes: Buffer) {
    this.#rest = bytes
  }

  take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  int16(): number {
    return this.take(2).readInt16BE()
  }

  int32(): number {
    return this.take(4).readInt32BE()
  }

  int64(): number {
    return Number(this.take(8).readBigInt64BE())
  }

  /** Also a nullable one: empty then. */
  string(): string {
    return this.take(Math.max(0, this.int16())).toString()
  }

  array<T>(read: () => T): T[] {
    return Array.from({ length: this.int32() }, read)
  }

  /** Unsigned, 7 bits a byte, the lowest first. */
  varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.take(1).readUInt8()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  /** Also a nullable one: empty then. */
  compactString(): string {
    return this.take(Math.max(0, this.varint() - 1)).toString()
  }

  compactArray<T>(read: () => T): T[] {
    return Array.from({ length: this.varint() - 1 }, read)
  }

  /** Tagged fields, by their numbers. */
  tags(): Map<number, Answer> {
    const count = this.varint()
    return new Map(Array.from({ length: count }, () => [this.varint(), new Answer(this.take(this.varint()))] as const))
  }
}
