import { isUtf8 } from 'node:buffer'
import type { SourceFault, SourceInput, SourceItem, SourceOptions } from '../source.ts'
import { asBuffer } from './byte-reader.ts'
import { RecordBuffer, tooLarge } from './record-buffer.ts'

/** Reads an input that is one record; a fault where it is larger than the limit. */
export async function readWhole(input: SourceInput, options: SourceOptions): Promise<Buffer | SourceFault> {
  const buffer = new RecordBuffer(options.maxRecordBytes)
  for await (const chunk of input.bytes) buffer.append(asBuffer(chunk))
  const { bytes, whole } = buffer.finish(Buffer.alloc(0))
  return whole ? tooLarge(null, bytes, whole, options.maxRecordBytes) : bytes
}

/** Reads an input that is one text in UTF-8. */
export async function readText(
  input: SourceInput,
  options: SourceOptions,
  format: SourceItem['format'],
): Promise<SourceItem | SourceFault> {
  const bytes = await readWhole(input, options)
  if (!Buffer.isBuffer(bytes)) return bytes
  const zero = bytes.indexOf(0)
  if (zero >= 0) return fault('INPUT_NOT_TEXT', `byte ${zero} is NUL`, null, bytes)
  if (!isUtf8(bytes)) return notUtf8(bytes, 0, null)
  return { kind: 'item', content: new TextDecoder().decode(bytes), format, url: null, title: null, place: null }
}

export function fault(
  code: SourceFault['code'],
  message: string,
  place: string | null,
  evidence: Uint8Array | null,
): SourceFault {
  return { kind: 'fault', code, message, place, evidence }
}

/** @param offset - Where the bytes stand in the input. */
export function notUtf8(bytes: Buffer, offset: number, place: string | null): SourceFault {
  return fault('INPUT_NOT_UTF8', `byte ${offset + invalidUtf8At(bytes)} of the input is no UTF-8`, place, bytes)
}

/** Index of the first byte that is no UTF-8; the length where all are. */
function invalidUtf8At(bytes: Buffer): number {
  const text = bytes.toString('utf8')
  let offset = 0
  for (let from = 0; ; ) {
    const at = text.indexOf('\ufffd', from)
    if (at < 0) return bytes.length
    offset += Buffer.byteLength(text.slice(from, at))
    // The replacement character may stand in the input itself.
    if (bytes[offset] !== 0xef || bytes[offset + 1] !== 0xbf || bytes[offset + 2] !== 0xbd) return offset
    offset += 3
    from = at + 1
  }
}

/** A text from the input within a message: one line, without control characters, of limited length. */
export function shown(text: string, maxCharacters = 120): string {
  const line = text.slice(0, maxCharacters + 1).replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
  return (line.length > maxCharacters ? `${line.slice(0, maxCharacters)}…` : line).toWellFormed()
}

const documentStart = /<(?:!doctype\s+html|html|head|body)[\s>]/i
const fragmentStart =
  /^<(?:p|div|article|section|main|header|nav|h[1-6]|table|ul|ol|dl|span|a|b|strong|em|i|br|hr|img|pre|blockquote|figure|form|center|font|meta|title|link|style|script)[\s/>]/i

/**
 * Whether a text is HTML: it begins with a tag, and either the tag of a document stands in its first 4,096 characters
 * or it is a fragment, which ends with a tag too. Markdown that opens with a tag ends in words.
 */
export function looksLikeHtml(text: string): boolean {
  const head = text.slice(0, 4096).trimStart()
  if (!head.startsWith('<')) return false
  return documentStart.test(head) || (fragmentStart.test(head) && text.slice(-1024).trimEnd().endsWith('>'))
}
