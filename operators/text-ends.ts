/**
 * Where a text may be cut so that it still reads well. A rule, not a dictionary: Intl.Segmenter knows abbreviations,
 * but needs a second for a few megabytes.
 */

/** Sentence signs that end a sentence wherever they stand. */
const alwaysEnds = '。！？｡．؟۔।॥៕'
/** Sentence signs that end one before white space only: 3.14, e.g, www.example.org. */
const endsBeforeSpace = '.!?…'
/** What may stand between the sentence sign and the end. */
const closers = '"\'»”’)]}」』）】*_'
/** Initials, abbreviations and numbers of lists, after which the sentence goes on. */
const goesOn =
  /(?:^|[\s([])(?:\p{Lu}|\p{L}\.\p{L}|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|cf|No|Nr|Fig|al|ca|bzw)$|(?:^|\n)[ \t]*\d{1,3}$/u
/** How far a word may reach back before it is cut in the middle. */
const longestWord = 256

/**
 * The end of the last whole sentence or paragraph in text.slice(0, limit); where none lies in its second half, that of
 * the last line; else of the last word; else the last whole character. White space before the end is left out.
 */
export function lastEnd(text: string, limit: number): number {
  const least = limit >> 1
  let lineEnd = 0
  for (let end = limit; end > least; end -= 1) {
    if (endsSentence(text, end)) return end
    const unit = text.charCodeAt(end)
    if (lineEnd === 0 && isLineEnd(unit) && !isSpace(text.charCodeAt(end - 1))) lineEnd = end
    if (isLineEnd(unit) && endsParagraph(text, end)) return end
  }
  return lineEnd || wordEnd(text, limit)
}

/** Whether a sentence ends at this place of the text. */
export function endsSentence(text: string, end: number): boolean {
  let at = end - 1
  while (at > 0 && end - at <= 4 && closers.includes(text.charAt(at))) at -= 1
  const sign = text.charAt(at)
  const next = text.charAt(end)
  if (closers.includes(next) && next !== '') return false
  if (alwaysEnds.includes(sign)) return !alwaysEnds.includes(next) || next === ''
  if (!endsBeforeSpace.includes(sign)) return false
  if (next !== '' && !isSpace(next.charCodeAt(0))) return false
  return sign !== '.' || !goesOn.test(text.slice(Math.max(0, at - 6), at))
}

/** A blank line follows, and the paragraph is no announcement of the next one ("For example:", a heading). */
function endsParagraph(text: string, end: number): boolean {
  const sign = text.charAt(end - 1)
  if (isSpace(sign.charCodeAt(0)) || sign === ':' || sign === '：') return false
  if (text.charAt(text.lastIndexOf('\n', end - 1) + 1) === '#') return false
  let lines = 0
  for (let at = end; at < text.length && at - end < 64 && isSpace(text.charCodeAt(at)); at += 1) {
    if (text.charCodeAt(at) === 10) lines += 1
    if (lines === 2) return true
  }
  return false
}

function wordEnd(text: string, limit: number): number {
  for (let end = limit; end > 0 && limit - end < longestWord; end -= 1) {
    if (isSpace(text.charCodeAt(end)) && !isSpace(text.charCodeAt(end - 1))) return end
  }
  const trimmedLimit = trimmed(text, limit)
  return splitsPair(text, trimmedLimit) ? trimmedLimit - 1 : trimmedLimit
}

function trimmed(text: string, end: number): number {
  let at = end
  while (at > 0 && isSpace(text.charCodeAt(at - 1))) at -= 1
  return at
}

function splitsPair(text: string, at: number): boolean {
  return (text.charCodeAt(at - 1) & 0xfc00) === 0xd800 && (text.charCodeAt(at) & 0xfc00) === 0xdc00
}

function isLineEnd(unit: number): boolean {
  return unit === 10 || unit === 13 || unit === 0x2028 || unit === 0x2029
}

function isSpace(unit: number): boolean {
  return (
    unit === 32 || (unit >= 9 && unit <= 13) || unit === 0xa0 || unit === 0x3000 || unit === 0x2028 || unit === 0x2029
  )
}
