import type { Source, SourceFault } from './source.ts'
import { asBuffer, firstVisible, withoutMark } from './support/byte-reader.ts'
import { type RawRecord, readRecords, type Splitter } from './support/json-record.ts'
import { RecordBuffer, tooLarge } from './support/record-buffer.ts'

const newline = 0x0a

/** JSON lines: one object a line. Empty lines are no records. */
export const jsonl: Source = {
  name: 'jsonl',
  summary: 'JSON lines (NDJSON): one object a line',
  endings: ['.jsonl', '.ndjson'],
  detect(head) {
    const bytes = asBuffer(head)
    const start = firstVisible(bytes)
    if (!opensObject(bytes, start)) return false
    const end = bytes.indexOf(newline, start)
    if (end < 0) return true
    const line = bytes.toString('utf8', start, end).trimEnd()
    if (isJson(line) || !/[{[,]$/.test(line)) return true
    // An object on many lines, unless another object begins on the next one: then this is a line that was cut.
    return opensObject(bytes, firstVisible(bytes, end))
  },
  read: ({ bytes }, options) => readRecords(buffers(bytes), new LineSplitter(options.maxRecordBytes), options),
}

/** Whether { and then " or } stand here, or nothing yet. */
export function opensObject(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== 0x7b) return false
  const next = firstVisible(bytes, at + 1)
  return next < 0 || bytes[next] === 0x22 || bytes[next] === 0x7d
}

async function* buffers(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) yield asBuffer(chunk)
}

class LineSplitter implements Splitter {
  readonly #limitBytes: number
  readonly #buffer: RecordBuffer
  #line = 1
  /** Where the current line begins in the input. */
  #offset = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
    this.#buffer = new RecordBuffer(limitBytes)
  }

  *push(chunk: Buffer): Generator<RawRecord | SourceFault> {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const record = this.#finish(chunk.subarray(start, end))
      if (record) yield record
      this.#line++
      start = end + 1
    }
    if (start < chunk.length) this.#buffer.append(chunk.subarray(start))
  }

  *end(): Generator<RawRecord | SourceFault> {
    const record = this.#finish(Buffer.alloc(0))
    if (record) yield record
  }

  #finish(last: Buffer): RawRecord | SourceFault | null {
    const offset = this.#offset
    this.#offset += this.#buffer.size + last.length + 1
    const { bytes, whole } = this.#buffer.finish(last)
    const place = `line ${this.#line}`
    if (whole) return tooLarge(place, bytes, whole, this.#limitBytes)
    const unmarked = offset === 0 ? withoutMark(bytes) : bytes
    if (firstVisible(unmarked) < 0) return null
    return { kind: 'raw', bytes: unmarked, place, offset: offset + bytes.length - unmarked.length }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
