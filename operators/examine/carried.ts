import { weightedLength } from '../unspaced.ts'

export interface Span {
  start: number
  end: number
}

/** Characters, as `weightedLength` counts, from which a quotation is a text and not a term. */
const leastQuoted = 30
const leastPasted = 20
const leastAnnounced = 10

const fenced = /^ {0,3}(```|~~~)[\s\S]*?^ {0,3}\1/gm
const quoted =
  /"[^"]{4,20000}"|“[^“”]{4,20000}”|„[^„“”]{4,20000}[“”]|«[^«»]{4,20000}»|「[^「」]{4,20000}」|『[^『』]{4,20000}』/g
/** Rows of a table, at least two: columns by bars, tabs or commas without sentences. */
const tables =
  /(?:^[^\n]*\|[^\n]*\|[^\n]*(?:\n|$)){2,}|(?:^[^\n\t]*\t[^\n]*(?:\n|$)){2,}|(?:^[^\n.,]{1,40}(?:,[^\n,]{1,40}){2,}(?:\n|$)){2,}/gm
/** Quoted by Markdown, or code by its look: lines with braces, semicolons or indentation. */
const blocks = /(?:^> ?[^\n]+(?:\n|$))+|(?:^(?:[ \t]{2,}[^\n]+|[^\n]*[{};])(?:\n|$)){2,}/gm
const paragraphs = /(?:[^\n]|\n(?![ \t]*\n))+/g
const announced = /[:：][ \t]*\n\s*\S/g
const announcedInline = /[:：][ \t]*\S/g

/** How a sentence begins that tells the assistant what to do. */
const request = new RegExp(
  `^(?:${[
    "please|write|use|keep|give|include|make|explain|add|start|begin|end|avoid|list|mention|ensure|do not|don't|be|provide|describe|compare|answer|show|state|name|discuss|then|also|finally|limit|focus|assume|propose|suggest|address|cite|justify|format|structure|each|stay|mark|take|point|put|say|find|decide|design|draft|prepare|summari[sz]e|translate|rewrite|review|work|i (?:want|need|would like)|i'd like|(?:your|the) (?:answer|response|letter|result|text|output|plan|report|essay|summary|article|reply) (?:should|must|is to|has to)",
    'bitte|schreibe?|erkläre|erläutere|nenne|gib|verwende|nutze|halte|achte|schlage?|stelle?|füge|begründe|vergleiche|antworte|entwirf|berechne',
    'rédige[rz]?|explique[rz]?|donne[rz]?|utilise[rz]?|propose[rz]?|ajoute[rz]?|montre[rz]?|réponde?[sz]?|cite[rz]?',
    'escrib[ae]|explica|explique|da|usa|use|incluy[ae]|añad[ae]|propón|redacta|responde|escrev[ae]|inclui|responda|scrivi|spiega|includi|proponi|rispondi|aggiungi',
    'schrijf|leg|gebruik|geef|noem|skriv|förklara|använd|ge|nämn|forklar|brug|napisz|wyjaśnij|podaj|użyj|напиши|объясни|приведи',
  ].join('|')})(?![\\p{L}\\p{M}]| ?[:：])|ください|なさい|^请`,
  'iu',
)
const sentenceEnds = /(?<=[.!?。！？])\s*(?=\S)/u

/** What of an instruction is marked as a text to work on: quotations, code, tables, and what a colon announces. */
export function markedSpans(text: string): Span[] {
  const marked = [fenced, tables, blocks].flatMap(pattern => spansOf(text, pattern))
  const quotations = spansOf(text, quoted).filter(span => lengthOf(text, span) >= leastQuoted)
  const behindColons = spansOf(text, announced).map(({ end }) => ({ start: end - 1, end: text.length }))
  return [...marked, ...quotations, ...behindColons]
}

/** Paragraphs, where there are several, that ask for nothing: what people paste behind or before their request. */
export function pastedParagraphs(text: string, least = leastPasted): Span[] {
  const found = spansOf(text, paragraphs)
  if (found.length < 2) return []
  return found.filter(span => lengthOf(text, span) >= least && !asks(text.slice(span.start, span.end)))
}

/** Whether something stands behind the place that it can announce: after a colon, or a paragraph or line of its own. */
export function hasBehind(text: string, at: number): boolean {
  const rest = text.slice(at)
  const line = rest.search(/\n\s*\S/)
  if (line >= 0 && weightedLength(rest.slice(line)) >= leastAnnounced) return true
  return spansOf(rest, announcedInline).some(({ end }) => weightedLength(rest.slice(end - 1)) >= leastAnnounced)
}

function asks(paragraph: string): boolean {
  const sentences = paragraph.slice(0, 2000).split(sentenceEnds)
  const requests = sentences.filter(sentence => request.test(sentence.trim())).length
  return request.test(paragraph.trim()) || requests * 2 >= sentences.length
}

function spansOf(text: string, pattern: RegExp): Span[] {
  return Array.from(text.matchAll(pattern), match => ({ start: match.index, end: match.index + match[0].length }))
}

function lengthOf(text: string, { start, end }: Span): number {
  return weightedLength(text.slice(start, end))
}
