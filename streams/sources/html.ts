import { isUtf8 } from 'node:buffer'
import type { Source } from './source.ts'
import { asBuffer, firstVisible } from './support/byte-reader.ts'
import { notUtf8, readWhole } from './support/text.ts'

/**
 * HTML: the whole input is one page. UTF-8 goes before the declared encoding, since pages are often saved as UTF-8 with
 * their old declaration; the declaration counts where the bytes are no UTF-8.
 */
export const html: Source = {
  name: 'html',
  summary: 'HTML: the whole file is one page, in UTF-8 or the encoding that it declares',
  endings: ['.html', '.htm', '.xhtml'],
  detect(head) {
    const bytes = asBuffer(head)
    const start = firstVisible(bytes)
    return start >= 0 && /^<[a-z!?]/i.test(bytes.toString('latin1', start, start + 2))
  },
  async *read(input, options) {
    const bytes = await readWhole(input, options)
    if (!Buffer.isBuffer(bytes)) {
      yield bytes
      return
    }
    const content = decodeHtml(bytes)
    if (content === null) yield notUtf8(bytes, 0, null)
    else yield { kind: 'item', content, format: 'html', url: null, title: null, place: null }
  },
}

/**
 * The text, in UTF-8 or the declared encoding; null where that does not fit.
 *
 * @param charset - As the server told it; else that of a meta element in the first 1,024 bytes.
 */
export function decodeHtml(bytes: Buffer, charset?: string): string | null {
  return isUtf8(bytes) ? new TextDecoder().decode(bytes) : decodeDeclared(bytes, charset)
}

function decodeDeclared(bytes: Buffer, charset: string | undefined): string | null {
  const head = bytes.toString('latin1', 0, 1024)
  const label = charset ?? /<meta\s[^>]{0,256}?charset\s*=\s*["']?\s*([\w:.-]{1,40})/i.exec(head)?.[1]
  if (!label) return null
  try {
    return new TextDecoder(label, { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}
