import { OutputFile } from './output-file.ts'
import type { Sink } from './sink.ts'

/** JSON lines; packed where the name ends in .gz. */
export const jsonl: Sink = {
  name: 'jsonl',
  endings: ['.jsonl', '.ndjson'],
  async open(path) {
    const output = await OutputFile.open(path)
    return {
      write: record => output.write(`${jsonLine(record)}\n`),
      close: () => output.close(),
      abort: () => output.abort(),
    }
  },
}

/** A record as one line of JSON, bytes in base64. */
export function jsonLine(record: unknown): string {
  return JSON.stringify(record, function (this: Record<string, unknown>, key, value) {
    // A Buffer's own toJSON has already been called on the value.
    const original = this[key]
    return original instanceof Uint8Array ? Buffer.from(original).toString('base64') : value
  })
}
