import { createHash } from 'node:crypto'
import { pack, unpack } from '../../sqlite/compression.ts'
import type { Database } from '../../sqlite/database.ts'

/** A text by reference: the first `length` bytes of a stored one. */
export interface TextReference {
  id: number
  length: number
}

/** Shorter texts cost less in the message than apart from it. */
export const minSharedBytes = 512
/** Texts that begin with the same bytes as these are looked at whether one is the beginning of the other. */
const headBytes = 512
/** How many are looked at: a thousand pages may begin with the same menu. */
const maxCandidates = 3
/** An excerpt is read by unpacking the whole text: not for a little of a huge one. */
const maxTimesLonger = 8

/**
 * Texts that many messages hold, each once, found by their content.
 *
 * A text that is the beginning of a stored one costs nothing either: excerpts are cut at their end only.
 */
export class SharedTexts {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  put(bytes: Uint8Array): TextReference {
    const hash = createHash('sha256').update(bytes).digest().subarray(0, 16)
    const same = this.#database.statement('SELECT id FROM text WHERE hash = ?').get(hash)
    if (same) return { id: Number(same.id), length: bytes.length }
    const head = createHash('sha256').update(bytes.subarray(0, headBytes)).digest().readUIntBE(0, 6)
    return this.#longer(head, bytes) ?? this.#insert(hash, head, bytes)
  }

  /** Removes those that no message holds any more. */
  removeUnused(ids: Iterable<number>): void {
    const remove = this.#database.statement(
      'DELETE FROM text WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message WHERE text = text.id)',
    )
    for (const id of ids) remove.run(id)
  }

  #longer(head: number, bytes: Uint8Array): TextReference | null {
    const candidates = this.#database
      .statement('SELECT id, size, form, bytes FROM text WHERE head = ? AND size BETWEEN ? AND ? ORDER BY size LIMIT ?')
      .all(head, bytes.length, bytes.length * maxTimesLonger, maxCandidates)
    for (const { id, size, form, bytes: stored } of candidates) {
      const whole = unpack({ form: Number(form), bytes: stored as Uint8Array }, Number(size))
      if (whole && Buffer.compare(whole.subarray(0, bytes.length), bytes) === 0) {
        return { id: Number(id), length: bytes.length }
      }
    }
    return null
  }

  #insert(hash: Uint8Array, head: number, bytes: Uint8Array): TextReference {
    const packed = pack(bytes)
    const { lastInsertRowid } = this.#database
      .statement('INSERT INTO text (hash, head, size, form, bytes) VALUES (?, ?, ?, ?, ?)')
      .run(hash, head, bytes.length, packed.form, packed.bytes)
    return { id: Number(lastInsertRowid), length: bytes.length }
  }
}

/** Comparing all places of a text made to look alike everywhere would take for ever: after so many it stays whole. */
const maxPlaces = 64

/** Where the text begins in the value; -1 where it is not found. */
export function findText(value: Uint8Array, text: Uint8Array): number {
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const beginning = text.subarray(0, 64)
  let place = -1
  for (let count = 0; count < maxPlaces; count++) {
    place = buffer.indexOf(beginning, place + 1)
    if (place < 0 || place + text.length > value.length) return -1
    if (buffer.compare(text, 0, text.length, place, place + text.length) === 0) return place
  }
  return -1
}
