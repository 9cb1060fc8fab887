import { isUtf8 } from 'node:buffer'
import { messageOf } from '../../../schemas/errors.ts'
import type { SourceFault, SourceItem, SourceOptions } from '../source.ts'
import { firstUserTurn } from './conversation.ts'
import { fault, looksLikeHtml, notUtf8, shown } from './text.ts'

/** The bytes of one JSON value. */
export interface RawRecord {
  kind: 'raw'
  bytes: Buffer
  place: string | null
  /** Where the bytes stand in the input. */
  offset: number
}

/** Cuts a byte stream into JSON values. */
export interface Splitter {
  push(chunk: Buffer): Iterable<RawRecord | SourceFault>
  /** What is left at the end of the input. */
  end(): Iterable<RawRecord | SourceFault>
}

/** Reads a stream of JSON values, each an object with a text. */
export async function* readRecords(
  bytes: AsyncIterable<Buffer>,
  splitter: Splitter,
  options: SourceOptions,
): AsyncGenerator<SourceItem | SourceFault> {
  for await (const chunk of bytes) {
    for (const record of splitter.push(chunk)) yield record.kind === 'raw' ? readRecord(record, options) : record
  }
  for (const record of splitter.end()) yield record.kind === 'raw' ? readRecord(record, options) : record
}

function readRecord({ bytes, place, offset }: RawRecord, options: SourceOptions): SourceItem | SourceFault {
  if (!isUtf8(bytes)) return notUtf8(bytes, offset, place)
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    return fault('INPUT_MALFORMED', `no JSON: ${shown(messageOf(error))}`, place, bytes)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return fault('INPUT_MALFORMED', `${typeName(value)}, not an object`, place, bytes)
  }
  const text = textOf(value, options.textField) ?? (options.instructions ? turnOf(value) : null)
  if (!text) {
    const wanted = `no text in ${options.textField.join(', ')}${options.instructions ? ', and no turn of a user' : ''}`
    return fault('INPUT_MALFORMED', `${wanted}; the fields are ${fieldNames(value)}`, place, bytes)
  }
  return {
    kind: 'item',
    content: text.content,
    format: formatOf(text.name, text.content),
    url: textOf(value, options.urlField)?.content || null,
    title: textOf(value, options.titleField)?.content || null,
    ...(options.instructions && { fields: value as Record<string, unknown> }),
    place,
  }
}

function turnOf(record: object): { name: string; content: string } | null {
  const content = firstUserTurn(record)
  return content === null ? null : { name: 'text', content: content.toWellFormed() }
}

/** The first of the fields that holds a text, an empty one only where no other does. */
function textOf(record: object, names: readonly string[]): { name: string; content: string } | null {
  let empty: { name: string; content: string } | null = null
  for (const name of names) {
    const content = fieldOf(record, name)
    if (typeof content !== 'string') continue
    // A lone surrogate has no UTF-8: what is written would differ from what was hashed.
    if (content !== '') return { name, content: content.toWellFormed() }
    empty ??= { name, content }
  }
  return empty
}

/** Own fields alone, so that no name reaches a prototype. A field whose name holds a dot goes before a path. */
function fieldOf(record: object, path: string): unknown {
  if (Object.hasOwn(record, path)) return (record as Record<string, unknown>)[path]
  if (!path.includes('.')) return undefined
  let value: unknown = record
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function formatOf(field: string, content: string): SourceItem['format'] {
  const name = field.slice(field.lastIndexOf('.') + 1)
  if (name === 'html') return 'html'
  if (name === 'markdown') return 'markdown'
  return looksLikeHtml(content) ? 'html' : 'text'
}

function fieldNames(record: object): string {
  const names = Object.keys(record)
  if (names.length === 0) return 'none'
  const first = names.slice(0, 12).map(name => {
    const value = (record as Record<string, unknown>)[name]
    return typeof value === 'string' ? shown(name, 40) : `${shown(name, 40)} (${typeName(value)})`
  })
  return first.join(', ') + (names.length > 12 ? ` and ${names.length - 12} more` : '')
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
