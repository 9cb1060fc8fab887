import { jsonl, opensObject } from './jsonl.ts'
import type { Source } from './source.ts'
import { asBuffer, ByteReader, firstVisible, withoutMark } from './support/byte-reader.ts'
import { readRecords } from './support/json-record.ts'
import { JsonSplitter } from './support/json-splitter.ts'

const newline = 0x0a

/**
 * JSON: an array of objects, one object, or objects that follow one another. A file that holds an object a line is read
 * as JSON lines, which finds the next record behind a broken one.
 */
export const json: Source = {
  name: 'json',
  summary: 'JSON: an array of objects, or one object after the other',
  endings: ['.json'],
  detect(head) {
    const bytes = asBuffer(head)
    const start = firstVisible(bytes)
    if (bytes[start] !== 0x5b) return opensObject(bytes, start)
    // A text may begin with a bracket: an array that can be read begins with an object, or is empty.
    const next = firstVisible(bytes, start + 1)
    return next < 0 || bytes[next] === 0x5d || opensObject(bytes, next)
  },
  async *read(input, options) {
    const reader = new ByteReader(input.bytes)
    try {
      const head = withoutMark(await reader.peek(hasSecondLine))
      if (hasSecondLine(head) && jsonl.detect(head)) {
        yield* jsonl.read({ bytes: reader, path: null }, options)
      } else {
        yield* readRecords(reader, new JsonSplitter(options.maxRecordBytes), options)
      }
    } finally {
      await reader.close()
    }
  },
}

/** Whether something stands behind the first line; true too where the first byte tells that this is an array. */
function hasSecondLine(marked: Buffer): boolean {
  const head = withoutMark(marked)
  const start = firstVisible(head)
  if (start < 0 || head[start] === 0x5b) return start >= 0
  const end = head.indexOf(newline, start)
  return end >= 0 && firstVisible(head, end + 1) >= 0
}
