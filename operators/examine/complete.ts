import type { Check } from '../../schemas/records.ts'
import { isStandIn } from '../reply/placeholders.ts'
import { endsSentence } from '../text-ends.ts'
import { announcedAtEnd } from './announced.ts'
import { pastedParagraphs } from './carried.ts'
import { failed, passed } from './check.ts'

const code = /^ {0,3}(```|~~~)[\s\S]*?(?:^ {0,3}\1|$(?![\s\S]))|`[^`\n]{1,300}`/gm
const quoted = /"[^"\n]{1,200}"|“[^”\n]{1,200}”|„[^“”\n]{1,200}[“”]|«[^»\n]{1,200}»|「[^」\n]{1,200}」/g
/** An instruction that speaks of them wants them. */
const speaksOfPlaceholders =
  /placeholder|square brackets?|\bbrackets\b|fill (?:it |them |this )?in\b|fills? (?:them|it) in|mail[- ]merge|\btemplate|platzhalter|lückentext|espaces? réservés?|champs?\b.{0,20}remplir|marcador(?:es)? de posición|segnapost|plaatshouder|platshållare|プレースホルダ|占位符|\b(?:put|use|write|insert|leave) [[{<]/iu
const emptyField =
  '(?:your|insert|enter|add|fill|name|company|date|number|amount|age|city|town|topic|product|title|position|place|address|temperature)'

const leftToFill: readonly RegExp[] = [
  /(?<![\p{L}\d\])\\]|[=+(] ?)\[(?!\s*\]|x\]|sic\]|…\]|\.\.\.\])\p{L}[\p{L}\p{M} '’/,.-]{1,60}\](?![([:])/u,
  /(?<![\p{L}}\\])\{{2,3}\s*[\p{L}_][\p{L}\d_ .-]{0,60}\}{2,3}/u,
  /\$\{[a-z_][a-z\d_.]{0,40}\}/i,
  new RegExp(`<(?:${emptyField})(?: [\\p{L} ]{1,60})?>`, 'iu'),
  /\blorem ipsum dolor\b/i,
  /(?<!\/\/ ?|# ?|\* ?|\b(?:the|a|an|every|each|all|my|our|your|this|der|die|das|ein|eine|le|un|el) )(?<![\p{L}\d_-])(?:TODO|TBD|FIXME|XXX+)(?![\p{L}\d_])(?! ?[:：-]| (?:lists?|apps?|items?|comments?|applications?|managers?|markers?|notes?|tasks?)\b)/u,
]

/** Words that no sentence ends with. */
const goesOn = new Set(
  (
    'and or but the a an of to with for from that which because if as at by in into on than their your my our its his her ' +
    'und oder aber der die das den dem des ein eine einen einem einer mit für von zu über an auf aus bei nach durch dass weil wenn als ' +
    'et ou mais le la les un une des du de avec pour que qui parce si ' +
    'y o pero el los las una del con para porque ' +
    'e ma il lo gli di da che per ' +
    'em os as um uma do da no na com ' +
    'en of maar het een van met voor omdat dat ' +
    'och eller men att med för från mot till av som ' +
    'i oraz lub ale w z na do że dla'
  ).split(' '),
)
const breaksOff = /[,([–—-]$|[，、（「]$/u
const openBracket = /\s\(\p{L}[^()]*$/u
const beginsJson = /^\{\s*"/
const lastWord = /\s([\p{L}\p{M}]+)$/u

/**
 * Looks for what was left to be filled in, and for an end in the middle.
 *
 * @param document - Its words tell whether the last word is a whole one; empty where there is none.
 */
export function checkComplete(text: string, document: string): Check {
  const trimmed = text.trim()
  if (isStandIn(trimmed) && !beginsJson.test(trimmed)) return failed(trimmed)
  const prose = maskQuoted(withoutPasted(trimmed))
  if (!speaksOfPlaceholders.test(prose)) {
    for (const pattern of leftToFill) {
      const found = pattern.exec(prose)
      if (found) return failed(found[0])
    }
  }
  const cut = cutOff(trimmed, document)
  return cut === null ? passed() : failed(cut)
}

function maskQuoted(text: string): string {
  return text.replace(code, '`').replace(quoted, '“”')
}

/** What the user pastes may have gaps of its own; what is left is the request. */
function withoutPasted(text: string): string {
  if (!pastedParagraphs(text).some(({ start }) => start > 0)) return text
  let rest = text
  for (const { start, end } of pastedParagraphs(text, 1).toReversed()) {
    if (start > 0) rest = `${rest.slice(0, start)}${rest.slice(end)}`
  }
  return rest.trim()
}

/** The end of a text that breaks off. */
function cutOff(text: string, document: string): string | null {
  const end = text.slice(-60)
  const prose = maskQuoted(text)
  const fences = text.match(/^ {0,3}(?:```|~~~)/gm)?.length ?? 0
  if (fences % 2 === 1) return `code without an end: ${end}`
  const open = openQuotation(text)
  if (open) return `quotation without an end: ${open}`
  if (text.endsWith('```') || text.endsWith('~~~') || endsSentence(text, text.length)) return null
  if (breaksOff.test(prose) || openBracket.test(prose)) return end
  const announced = announcedAtEnd(text)
  if (announced) return announced
  const word = lastWord.exec(prose)?.[1]
  if (word === undefined) return null
  return goesOn.has(word) || isPartOfWord(word, text, document) ? end : null
}

/** What begins with a quotation mark and has no other behind it. */
function openQuotation(text: string): string | null {
  const masked = text.replace(code, '`')
  const straight = masked.split('"')
  const last = straight.at(-1) ?? ''
  if (straight.length % 2 === 0 && /^\p{L}/u.test(last) && /(?:^|[\s(])$/.test(straight.at(-2) ?? '')) return last
  // In German “ ends what „ begins.
  return /(?:(?<=^|[\s(])“(?=\p{L})[^“”]*|«[^«»]*|「[^「」]*|『[^『』]*)$/u.exec(masked)?.[0] ?? null
}

/** Whether a word begins with this one that is no plural of it, and this one stands nowhere else. */
function isPartOfWord(word: string, text: string, document: string): boolean {
  if (word.length < 3 || word !== word.toLowerCase()) return false
  const others: string[] = `${text.slice(0, -word.length)} ${document}`.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? []
  return !others.includes(word) && others.some(other => other.startsWith(word) && other.length > word.length + 1)
}
