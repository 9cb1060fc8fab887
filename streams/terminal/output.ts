import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** Lines to stdout with backpressure; a reader that goes away ends the command quietly. */
export class Output {
  readonly #stream: Writable
  readonly #gone = new AbortController()

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', error => this.#gone.abort(error))
  }

  /** Aborted where nobody reads any more. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  async line(text: string): Promise<void> {
    if (this.#gone.signal.aborted) return
    if (!this.#stream.write(`${text}\n`)) {
      await once(this.#stream, 'drain', { signal: this.#gone.signal }).catch(() => {})
    }
  }

  /** One JSON value on a line; bytes as base64. */
  json(value: unknown, space?: number): Promise<void> {
    return this.line(toJson(value, space))
  }
}

/** JSON of a record: bytes as base64. */
export function toJson(value: unknown, space?: number): string {
  return JSON.stringify(value, bytesAsBase64, space)
}

function bytesAsBase64(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  // Buffer has a toJSON of its own, which has been called by now.
  const buffer = value as { type?: unknown; data?: unknown } | null
  if (buffer?.type === 'Buffer' && Array.isArray(buffer.data)) return Buffer.from(buffer.data).toString('base64')
  return value
}

/** Breaks lines between words so that they have at most so many characters, each with the indent. */
export function wrap(text: string, columns: number, indent = ''): string {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = indent
    for (const word of paragraph.split(' ')) {
      if (line.length > indent.length && line.length + 1 + word.length > columns) {
        lines.push(line)
        line = indent
      }
      line += line.length > indent.length ? ` ${word}` : word
    }
    lines.push(line.trimEnd())
  }
  return lines.join('\n')
}

/** Columns of equal width; those with numbers to the right, their heads too. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = []
  const withNumbers = new Set<number>()
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, String(cell).length)
      if (typeof cell === 'number') withNumbers.add(column)
    })
  }
  const pad = (cell: string | number, column: number) => {
    const width = widths[column] ?? 0
    return withNumbers.has(column) ? String(cell).padStart(width) : String(cell).padEnd(width)
  }
  return rows.map(row => row.map(pad).join('  ').trimEnd()).join('\n')
}
