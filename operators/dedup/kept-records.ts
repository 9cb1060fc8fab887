import { SituError } from '../../schemas/errors.ts'
import type { Signature } from '../../schemas/records.ts'
import { HashTable } from './hash-table.ts'
import type { Twin } from './near-duplicate-index.ts'

export const exactBytes = 16

/** The kept records by number, in the order of their inserts, and the way from a text's hash to its record. */
export class KeptRecords {
  readonly #ids: string[] = []
  readonly #exact = new Rows(exactBytes)
  readonly #byExact = new HashTable()
  #confirmed = 0

  get size(): number {
    return this.#ids.length
  }

  id(record: number): string {
    return this.#ids[record] ?? ''
  }

  /** The record with this hash, or undefined. */
  find(exact: Uint8Array): number | undefined {
    let found: number | undefined
    this.#byExact.each(firstWord(exact), record => {
      if (Buffer.compare(this.#exact.get(record), exact) === 0) found = record
    })
    return found
  }

  /** The record with this hash as a twin; null where there is none. */
  repeatOf(exact: Uint8Array): Twin | null {
    const record = this.find(exact)
    return record === undefined ? null : { id: this.id(record), similarity: 1 }
  }

  /** @returns The number of the new record. */
  add(id: string, exact: Uint8Array): number {
    const record = this.#ids.push(id) - 1
    this.#exact.push(exact)
    this.#byExact.add(firstWord(exact), record)
    return record
  }

  get pendingSize(): number {
    return this.size - this.#confirmed
  }

  /**
   * The pending records as entries, but for the first `from` of them.
   *
   * @param slotsOf - What else the index keeps of a record, by its number.
   */
  entries(engine: string, from?: number, slotsOf: (record: number) => Uint8Array | null = () => null): Signature[] {
    return this.#pending(from).map(record => {
      const slots = slotsOf(record)
      const exact = Buffer.from(this.#exact.get(record))
      return { id: this.id(record), engine, exact, slots: slots && Buffer.from(slots) }
    })
  }

  /** The numbers of the pending records, but for the first `from` of them. */
  #pending(from = 0): number[] {
    const first = this.#confirmed + from
    return Array.from({ length: Math.max(0, this.size - first) }, (_, index) => first + index)
  }

  confirm(): void {
    this.#confirmed = this.size
  }

  /** A record that is read back counts as confirmed, and with it would all before it. */
  confirmRestored(): void {
    if (this.pendingSize !== 1) throw new Error('a signature was restored while others were pending')
    this.#confirmed = this.size
  }

  /**
   * Takes the pending records back, but for the first `from` of them.
   *
   * @param undo - Is told the number of each record before it goes, the last one first.
   */
  rollback(from = 0, undo: (record: number) => void = () => {}): void {
    for (const record of this.#pending(from).reverse()) {
      undo(record)
      this.#byExact.remove(firstWord(this.#exact.get(record)), record)
      this.#exact.pop()
      this.#ids.pop()
    }
  }
}

/** Rows of equal length in one array that doubles when it is full. */
export class Rows {
  readonly #width: number
  #bytes: Uint8Array
  #count = 0

  constructor(width: number) {
    this.#width = width
    this.#bytes = new Uint8Array(64 * width)
  }

  get(row: number): Uint8Array {
    return this.#bytes.subarray(row * this.#width, (row + 1) * this.#width)
  }

  push(row: Uint8Array): void {
    const start = this.#count * this.#width
    if (start === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(row, start)
    this.#count += 1
  }

  pop(): void {
    this.#count -= 1
  }
}

/** @throws {SituError} CONFIGURATION_CHANGED for an entry of another engine, RECORD_INVALID for one that is none. */
export function checkEntry(entry: Signature, engine: string, slotBytes: number): void {
  if (entry.engine !== engine) {
    const engines = `was written by the engine "${entry.engine}", and this is "${engine}"`
    throw new SituError('CONFIGURATION_CHANGED', `signature of ${entry.id} ${engines}: they can't be compared`)
  }
  const problem =
    entry.exact.length !== exactBytes
      ? `has a hash of ${entry.exact.length} bytes instead of ${exactBytes}`
      : entry.slots !== null && entry.slots.length !== slotBytes
        ? `has a signature of ${entry.slots.length} bytes instead of ${slotBytes}`
        : null
  if (problem) throw new SituError('RECORD_INVALID', `signature of ${entry.id} ${problem}`)
}

function firstWord(bytes: Uint8Array): number {
  return ((bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8) | ((bytes[2] ?? 0) << 16) | ((bytes[3] ?? 0) << 24)) >>> 0
}
