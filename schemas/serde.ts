import type avro from 'avsc'
import { isOfRecord, messageOf, SituError } from './errors.ts'
import { parseSchema, plainReading, type Reading, readingOf } from './reading.ts'
import { type Noun, type Records, schemas, sharedPaths } from './records.ts'
import type { SchemaRegistry } from './registry.ts'

/** Byte 0 and the schema id in 4 bytes, big-endian: the Confluent wire format. */
const headerBytes = 5
const firstScratchBytes = 65_536

const readers = new Map<Noun, Reading>()

function readerOf(noun: Noun): Reading {
  let reader = readers.get(noun)
  if (!reader) {
    reader = plainReading(parseSchema(schemas[noun]))
    readers.set(noun, reader)
  }
  return reader
}

/** A record in bytes, with the text that other topics repeat. */
export interface Encoded {
  value: Uint8Array
  shared: string | null
}

/** From record to bytes and back, with schemas by id from a registry. One for a process. */
export class Serde {
  readonly #registry: SchemaRegistry
  readonly #ids = new Map<string, number>()
  /** One per (reader, writer id): building one costs more than reading many records. */
  readonly #readings = new Map<string, Reading>()
  #scratch = Buffer.allocUnsafeSlow(firstScratchBytes)

  constructor(registry: SchemaRegistry) {
    this.#registry = registry
  }

  /**
   * Registers the noun's schema under a subject; needed once before `encode`.
   *
   * @throws {SituError} SCHEMA_INCOMPATIBLE
   */
  async register(subject: string, noun: Noun): Promise<void> {
    if (this.#ids.has(noun)) return
    this.#ids.set(noun, await this.#registry.register(subject, JSON.stringify(schemas[noun])))
  }

  /** @throws {SituError} RECORD_INVALID, naming the field. */
  encode<N extends Noun>(noun: N, record: Records[N]): Encoded {
    const id = this.#ids.get(noun)
    if (id === undefined) throw new SituError('OPERATOR_BUG', `serde: the schema of ${noun} is not registered`)
    const { type } = readerOf(noun)
    let value: Buffer
    try {
      value = this.#write(type, record)
    } catch (cause) {
      throw new SituError('RECORD_INVALID', `${noun}: no such record: ${describeInvalid(type, record)}`, { cause })
    }
    value[0] = 0
    value.writeUInt32BE(id, 1)
    return { value, shared: sharedText(noun, record) }
  }

  /** Into a buffer that is kept, for the size is not known before: avsc's own has 1 KB, and what is longer is written twice. */
  #write(type: avro.Type, record: unknown): Buffer {
    let end = type.encode(record, this.#scratch, headerBytes)
    if (end < 0) {
      // What is missing.
      this.#scratch = Buffer.allocUnsafeSlow(2 * (this.#scratch.length - end))
      end = type.encode(record, this.#scratch, headerBytes)
    }
    const value = Buffer.allocUnsafe(end)
    this.#scratch.copy(value, 0, 0, end)
    return value
  }

  /** @throws {SituError} RECORD_INVALID with the bytes as evidence, SCHEMA_UNKNOWN. */
  async decode<N extends Noun>(noun: N, value: Uint8Array | null): Promise<Records[N]> {
    if (value === null) throw new SituError('RECORD_INVALID', `${noun}: the message has no value`)
    if (value.length < headerBytes || value[0] !== 0) {
      throw new SituError('RECORD_INVALID', `${noun}: ${value.length} bytes without the header (0, schema id)`, {
        evidence: { kind: 'bytes', content: value },
      })
    }
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const id = bytes.readUInt32BE(1)
    const reading = this.#ids.get(noun) === id ? readerOf(noun) : await this.#readingFor(noun, id, value)
    try {
      const { value: record, offset } = reading.type.decode(bytes, headerBytes, reading.resolver)
      if (offset !== bytes.length) throw new Error(`the record ends at byte ${offset} of ${bytes.length}`)
      reading.fill(record)
      return record as Records[N]
    } catch (cause) {
      throw new SituError('RECORD_INVALID', `${noun}: no Avro record of schema ${id}: ${messageOf(cause)}`, {
        cause,
        evidence: { kind: 'bytes', content: value },
      })
    }
  }

  /**
   * As `decode`; null for bytes that are no such record. For topics whose records Situ itself writes and reads: nobody
   * works them, so none becomes a dead letter, and what others have written there must not end the reader.
   */
  async decodeOwn<N extends Noun>(noun: N, value: Uint8Array | null): Promise<Records[N] | null> {
    try {
      return await this.decode(noun, value)
    } catch (error) {
      if (isOfRecord(error)) return null
      throw error
    }
  }

  /** As `#reading`; a message that can't be read keeps its bytes as evidence. */
  async #readingFor(noun: Noun, id: number, value: Uint8Array): Promise<Reading> {
    try {
      return await this.#reading(noun, id)
    } catch (error) {
      if (!isOfRecord(error)) throw error
      throw new SituError(error.code, error.message, { cause: error, evidence: { kind: 'bytes', content: value } })
    }
  }

  async #reading(noun: Noun, id: number): Promise<Reading> {
    const key = `${noun} ${id}`
    const known = this.#readings.get(key)
    if (known) return known
    const reading = readWriter(noun, id, await this.#registry.schema(id))
    this.#readings.set(key, reading)
    return reading
  }
}

function readWriter(noun: Noun, id: number, schema: string): Reading {
  let writer: avro.Type
  try {
    writer = parseSchema(schema)
  } catch (cause) {
    throw new SituError('RECORD_INVALID', `${noun}: schema ${id} can't be read: ${messageOf(cause)}`, { cause })
  }
  const reader = readerOf(noun)
  if (writer.fingerprint().equals(reader.type.fingerprint())) return reader
  try {
    return readingOf(schemas[noun], writer)
  } catch (cause) {
    throw new SituError('RECORD_INVALID', `${noun}: schema ${id} is of another record: ${messageOf(cause)}`, { cause })
  }
}

function sharedText(noun: Noun, record: object): string | null {
  const path = sharedPaths[noun]
  if (!path) return null
  let value: unknown = record
  for (const name of path) value = (value as Record<string, unknown> | null)?.[name]
  return (value as string | undefined) ?? null
}

function describeInvalid(type: avro.Type, record: unknown): string {
  const problems: string[] = []
  type.isValid(record, {
    errorHook: (path: string[], value: unknown, expected: avro.Type) => {
      const shown = JSON.stringify(value) ?? String(value)
      problems.push(`${path.join('.')} is ${shown.slice(0, 80)}, not ${expected.typeName}`)
    },
  })
  return problems.join('; ')
}
