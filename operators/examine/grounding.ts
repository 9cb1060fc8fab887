import { normalise } from '../dedup/normalise.ts'
import { unspacedScripts } from '../unspaced.ts'
import { commonSigns } from './common-signs.ts'
import { commonWords } from './common-words.ts'

/** Words that differ behind this many letters only are forms of one. */
const stemLetters = 5
const leastLetters = 4
/** Fewer words say nothing about what a text is about. */
const leastWords = 5

const word = /[\p{L}\p{M}]+/gu
const number = /\d+(?:[.,'’ \u00a0\u202f]\d+)*/gu
/** The script itself shows where these words end. */
const katakanaWord = /[\p{sc=Katakana}ー]{2,}/gu
const unspacedLetter = new RegExp(`[${unspacedScripts}]`, 'v')

/** Numbers in Han characters; one alone is mostly part of a word. */
const hanNumber = /[〇一二三四五六七八九十百千万億亿两兩半]+/gu

/** A script that puts no space between words. */
interface UnspacedScript {
  run: RegExp
  /** Characters of a word on average. */
  wordCharacters: number
  /** What a character counts that the document has, but not in such a word. */
  loneShare: number
}

/** Without kana: what a Japanese sentence is about stands in Han characters and katakana. */
const unspaced: readonly UnspacedScript[] = [
  { run: /\p{sc=Han}{2,}/gu, wordCharacters: 2, loneShare: 0.25 },
  {
    run: /[[\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}\p{sc=Tibetan}]&&[\p{L}\p{M}]]{4,}/gv,
    wordCharacters: 4,
    loneShare: 0,
  },
]

export interface Grounding {
  /** Share of what the instruction is about that the document holds, 0 to 1; null where there is too little to tell. */
  share: number | null
  /** Some of what the document does not hold. */
  missing: readonly string[]
}

/** How many words something has, and which of them the document does not hold. */
interface Held {
  words: number
  held: number
  missing: readonly string[]
}

/** What of an instruction's words, names and numbers its document holds. */
export function groundingIn(text: string, document: string): Grounding {
  const [instruction, source] = [normalise(text), normalise(document)]
  const parts = [heldWords(instruction, source), ...unspaced.map(script => heldRuns(instruction, source, script))]
  const words = parts.reduce((sum, part) => sum + part.words, 0)
  if (words < leastWords) return { share: null, missing: [] }
  const held = parts.reduce((sum, part) => sum + part.held, 0)
  return { share: held / words, missing: parts.flatMap(({ missing }) => missing) }
}

function heldWords(text: string, document: string): Held {
  const items = itemsOf(text)
  const known = itemsOf(document)
  const missing = [...items].filter(([item]) => !known.has(item)).map(([, seen]) => seen)
  return { words: items.size, held: items.size - missing.length, missing }
}

/** From the form by which words and numbers are compared to how they are written. */
function itemsOf(text: string): Map<string, string> {
  const items = new Map<string, string>()
  for (const [found] of text.matchAll(number)) items.set(found.replace(/\D/g, ''), found)
  for (const [found] of text.matchAll(word)) {
    if (found.length < leastLetters || commonWords.has(found) || unspacedLetter.test(found)) continue
    items.set(found.slice(0, stemLetters), found)
  }
  for (const [found] of text.matchAll(katakanaWord)) items.set(found, found)
  for (const [found] of text.matchAll(hanNumber)) if (found.length > 1) items.set(found, found)
  return items
}

/**
 * Where no space tells the words, a character counts as held where it stands in characters of a word's length that the
 * document has in a row: those in which a word meets the next one, which hardly any other text has, take nothing away.
 */
function heldRuns(text: string, document: string, { run, wordCharacters, loneShare }: UnspacedScript): Held {
  const known = new Set(runsOf(document, run).flatMap(characters => rowsOf(characters, wordCharacters)))
  const lone = new Set(loneShare > 0 ? document : '')
  let [all, held] = [0, 0]
  const missing: string[] = []
  for (const characters of new Set(runsOf(text.replace(commonSigns, ' ').replace(hanNumber, ' '), run))) {
    const letters = Array.from(characters)
    const isHeld = letters.map(() => false)
    for (const [at, row] of rowsOf(characters, wordCharacters).entries()) {
      if (known.has(row)) isHeld.fill(true, at, at + wordCharacters)
    }
    for (const [at, letter] of letters.entries()) {
      all += 1
      if (isHeld[at]) held += 1
      else if (lone.has(letter)) held += loneShare
    }
    const rest = letters.map((letter, at) => (isHeld[at] ? ' ' : letter)).join('')
    missing.push(...rest.split(' ').filter(Boolean))
  }
  return { words: all / wordCharacters, held: held / wordCharacters, missing }
}

function runsOf(text: string, run: RegExp): string[] {
  return text.match(run) ?? []
}

/** Every so many characters in a row. */
function rowsOf(characters: string, length: number): string[] {
  const letters = Array.from(characters)
  return letters.slice(length - 1).map((_, at) => letters.slice(at, at + length).join(''))
}
