import { findPlaceholder } from '../reply/placeholders.ts'

/** Code may hold braces and brackets of its own. */
const code = /^(```|~~~)[\s\S]*?^\1|`[^`\n]{0,500}`/gm
/** Something that was to be filled in before the instruction was sent. */
const placeholders: readonly RegExp[] = [
  /[[<{](?:please )?(?:insert|paste|enter|fill(?: in)?|your)(?:[\s_-][^\]>}\n]{1,80})?[\]>}]/i,
  /\((?:please )?(?:insert|paste)\s[^)\n]{1,80}\)/i,
  /(?<!\w)\[(?:the )?(?:name|topic|subject|text|prompt|keywords?|(?:target ?)?language|(?:company|product)(?: name)?|url)\](?![([])/i,
  /\{[A-Z][A-Z_ ]{2,40}\}/,
  /\{\{\s*\w[\w .-]{0,60}\}\}/,
  /\b(?:INSERT|YOUR|ENTER|PASTE)[_ ][A-Z_ ]{2,40}[_ ]HERE\b/,
]
/** Opens what is never closed; a sad face does not. */
const opens = /(?:[,，、{<«“„]|(?<!:)[([])$/
const announces = /[:：]$/
/** Words after which an English sentence goes on. */
const lastWord = /\s(?:the|an|and|or|my|your|because)$/
/** "Answer:" asks for what follows it, "Sum up the following text:" announces it. */
const longestLabel = 2

/**
 * What shows that an instruction of a person is not whole: it was cut off, or holds a place that was never filled. Null
 * where nothing shows it. People leave out the last full stop, so its absence shows nothing.
 *
 * @param hasDocument - Whether a document came with it, which "Sum up the following text:" may announce.
 */
export function incompleteness(text: string, hasDocument: boolean): string | null {
  const problem = findPlaceholder({ text }, new Map([['text', '']]))
  if (problem) return problem
  const prose = text.replace(code, '')
  for (const pattern of placeholders) {
    const found = pattern.exec(prose)
    if (found) return `holds the placeholder ${JSON.stringify(found[0])}`
  }
  const end = text.trimEnd()
  if (opens.test(end) || lastWord.test(end) || (!hasDocument && announcesMore(end))) {
    return `ends with ${JSON.stringify(end.slice(-20).toWellFormed())}`
  }
  const fences = text.match(/^ {0,3}(?:```|~~~)/gm) ?? []
  return fences.length % 2 === 1 ? 'its last block of code has no end' : null
}

function announcesMore(text: string): boolean {
  if (!announces.test(text)) return false
  const before = text.slice(-400, -1)
  const start = Math.max(...['.', '?', '!', '\n', ':'].map(sign => before.lastIndexOf(sign)))
  const words = before
    .slice(start + 1)
    .trim()
    .split(/\s+/)
  return start < 0 || words.length > longestLabel
}
