import { evidenceLimitBytes } from '../../evidence.ts'
import type { SourceFault } from '../source.ts'
import { isSpace } from './byte-reader.ts'
import type { RawRecord, Splitter } from './json-record.ts'
import { RecordBuffer, tooLarge } from './record-buffer.ts'
import { fault } from './text.ts'

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c
const openArray = 0x5b
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/** Bytes that can begin a value: { [ " - 0-9 t f n. */
const beginnings = new Set([openObject, openArray, quote, ...Buffer.from('-0123456789tfn')])

/**
 * Cuts the values of JSON arrays, and values that follow one another, out of a byte stream by counting brackets outside
 * strings. No value is parsed here, so a broken or oversized one is skipped in bounded memory and the next is found.
 *
 * Where something stands that can't begin a value, no later value can be found safely: the rest is one fault.
 */
export class JsonSplitter implements Splitter {
  readonly #limitBytes: number
  #buffer: RecordBuffer
  #state: 'between' | 'value' | 'rest' = 'between'
  #inArray = false
  #depth = 0
  #inString = false
  #escaped = false
  #records = 0
  /** Where the current chunk begins in the input, and where the current record does. */
  #chunkOffset = 0
  #recordOffset = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
    this.#buffer = new RecordBuffer(limitBytes)
  }

  *push(chunk: Buffer): Generator<RawRecord | SourceFault> {
    let index = 0
    while (index < chunk.length) {
      if (this.#state === 'between') {
        index = this.#begin(chunk, index)
        if (this.#state === 'between') break
      }
      const start = index
      const end = this.#state === 'rest' ? -1 : this.#valueEnd(chunk, start)
      if (end < 0) {
        this.#buffer.append(chunk.subarray(start))
        break
      }
      yield this.#finish(chunk.subarray(start, end))
      index = end
    }
    this.#chunkOffset += chunk.length
  }

  *end(): Generator<RawRecord | SourceFault> {
    if (this.#state === 'value') {
      yield this.#finish(Buffer.alloc(0))
    } else if (this.#state === 'rest') {
      const { bytes, whole } = this.#buffer.finish(Buffer.alloc(0))
      const message = `no JSON value can begin at byte ${this.#recordOffset}; the rest of the input is left out`
      yield { ...fault('INPUT_MALFORMED', message, this.#place(), bytes), ...(whole ? { whole } : {}) }
    } else if (this.#inArray) {
      yield fault('INPUT_MALFORMED', `the input ends within the array, behind record ${this.#records}`, null, null)
    }
  }

  /** Goes to the beginning of the next value; to the end of the chunk where there is none. */
  #begin(chunk: Buffer, from: number): number {
    for (let index = from; index < chunk.length; index++) {
      const byte = chunk[index] ?? 0
      const offset = this.#chunkOffset + index
      if (isSpace(byte) || (offset < 3 && byte === [0xef, 0xbb, 0xbf][offset])) continue
      if (byte === comma && this.#inArray) continue
      if (byte === closeArray && this.#inArray) {
        this.#inArray = false
      } else if (byte === openArray && !this.#inArray) {
        this.#inArray = true
      } else {
        this.#state = beginnings.has(byte) ? 'value' : 'rest'
        if (this.#state === 'rest') this.#buffer = new RecordBuffer(evidenceLimitBytes)
        this.#recordOffset = offset
        this.#records++
        return index
      }
    }
    return chunk.length
  }

  /** Index behind the current value; -1 where it goes on in the next chunk. */
  #valueEnd(chunk: Buffer, from: number): number {
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    let end = -1
    for (let index = from; index < chunk.length; index++) {
      const byte = chunk[index] ?? 0
      if (inString) {
        if (escaped) escaped = false
        else if (byte === backslash) escaped = true
        else if (byte === quote) {
          inString = false
          if (depth === 0) end = index + 1
        }
      } else if (byte === quote) {
        inString = true
      } else if (byte === openObject || byte === openArray) {
        depth++
      } else if (byte === closeObject || byte === closeArray) {
        // At depth 0 it closes the array around a number or a word.
        if (depth === 0) end = index
        else if (--depth === 0) end = index + 1
      } else if (depth === 0 && (byte === comma || isSpace(byte))) {
        end = index
      }
      if (end >= 0) break
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    return end
  }

  #finish(last: Buffer): RawRecord | SourceFault {
    const { bytes, whole } = this.#buffer.finish(last)
    this.#state = 'between'
    this.#depth = 0
    this.#inString = false
    this.#escaped = false
    if (whole) return tooLarge(this.#place(), bytes, whole, this.#limitBytes)
    return { kind: 'raw', bytes, place: this.#place(), offset: this.#recordOffset }
  }

  /** A value that no array holds stands alone until another follows it. */
  #place(): string | null {
    return this.#inArray || this.#records > 1 ? `record ${this.#records}` : null
  }
}
