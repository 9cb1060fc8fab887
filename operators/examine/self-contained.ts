import type { Check } from '../../schemas/records.ts'
import { announcedAtEnd } from './announced.ts'
import { hasBehind, markedSpans, pastedParagraphs, type Span } from './carried.ts'
import { failed, passed } from './check.ts'
import { askedOffer } from './named-offers.ts'
import { type Place, references } from './references.ts'

/**
 * Looks for references to texts, figures, tables, files and earlier messages, and whether what they refer to stands in
 * the instruction: quoted, as code, as a table, as a paragraph of its own, or copied from the document. And whether it
 * asks what something holds that only its document tells.
 *
 * @param holdsExcerpt - Whether it holds an excerpt of its document word for word.
 * @param document - Text of the document; empty where there is none.
 */
export function checkSelfContained(text: string, holdsExcerpt: boolean, document = ''): Check {
  const carrier: Carrier = { text, marked: markedSpans(text), pasted: pastedParagraphs(text), holdsExcerpt }
  const found = references.flatMap(({ place, pattern }) =>
    Array.from(text.matchAll(pattern), match => {
      const span = { start: match.index, end: match.index + match[0].length }
      return { span, phrase: match[0], isCarried: isCarried(carrier, place, span) }
    }),
  )
  const kept = found.filter(({ isCarried }) => isCarried)
  // "The article below" is one reference, though "the article" alone looks like another.
  const dangling = found.filter(one => !one.isCarried && !kept.some(({ span }) => overlaps(span, one.span)))
  const phrases = dangling.map(({ phrase }) => phrase)
  const announced = announcedAtEnd(text)
  if (announced) phrases.push(announced)
  const carriesNothing = !holdsExcerpt && carrier.marked.length === 0 && carrier.pasted.length === 0
  const offer = carriesNothing ? askedOffer(text, document) : null
  if (offer) phrases.push(offer)
  const [first] = phrases
  return first === undefined ? passed(0) : failed(first, phrases.length)
}

interface Carrier {
  text: string
  marked: readonly Span[]
  pasted: readonly Span[]
  holdsExcerpt: boolean
}

function isCarried({ text, marked, pasted, holdsExcerpt }: Carrier, place: Place, { start, end }: Span): boolean {
  // What is quoted is spoken of, and what stands in code or in a carried text refers to that.
  if (marked.some(span => span.start <= start && end <= span.end)) return true
  if (place === 'never') return false
  if (place === 'above') return [...marked, ...pasted].some(span => span.end <= start)
  if (place === 'below') return hasBehind(text, end)
  const isElsewhere = (span: Span) => span.end <= start || span.start >= end
  // A word in a paragraph of its own will do: a city, a date.
  if (place === 'given' && (hasBehind(text, end) || pastedParagraphs(text, 1).some(isElsewhere))) return true
  return holdsExcerpt || marked.length > 0 || pasted.some(isElsewhere)
}

function overlaps(left: Span, right: Span): boolean {
  return left.start < right.end && right.start < left.end
}
