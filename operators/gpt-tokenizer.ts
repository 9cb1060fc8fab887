import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type * as Constants from 'gpt-tokenizer/encodingParams/constants'
import { BytePairs } from './byte-pairs.ts'
import { lastEnd } from './text-ends.ts'
import type { Tokenizer } from './tokenizer.ts'
import { WordCounts } from './word-counts.ts'

/** Text is counted in chunks of at least this many characters, each ending between two words. */
const chunkCharacters = 512
/** Where no such place comes, a chunk ends here. */
const longestChunk = 32_768
/**
 * Byte pair merging takes time square in the length of a piece, so runs of one kind of character (letters, white space,
 * signs) are counted in parts of this length: no word is longer, and base64 or text without spaces stays quick.
 */
const longestRun = 256

/** The built-in tokenizer: o200k_base. Special tokens in a text, such as <|endoftext|>, count as the text they are. */
export function createTokenizer(): Tokenizer {
  return new GptTokenizer()
}

class GptTokenizer implements Tokenizer {
  readonly name = 'o200k_base'

  count(text: string): number {
    return countFrom(text, 0, text.length)
  }

  cut(text: string, maxTokens: number): { text: string; tokens: number; cut: boolean } {
    const starts: number[] = []
    const before: number[] = []
    let tokens = 0
    let start = 0
    while (start < text.length) {
      const end = chunkEnd(text, start, text.length)
      const inChunk = countChunk(text, start, end)
      starts.push(start)
      before.push(tokens)
      if (tokens + inChunk > maxTokens) return shorten(text, { starts, before, end }, maxTokens)
      tokens += inChunk
      start = end
    }
    return { text, tokens, cut: false }
  }
}

/** The chunks read: where each starts, the tokens before each, and the end of the last, which goes over the limit. */
interface Read {
  starts: number[]
  before: number[]
  end: number
}

function shorten(text: string, read: Read, maxTokens: number): { text: string; tokens: number; cut: boolean } {
  let limit = fittingEnd(text, read, maxTokens)
  while (limit > 0) {
    const end = lastEnd(text, limit)
    const tokens = countTo(text, end, read)
    if (tokens <= maxTokens) return { text: text.slice(0, end), tokens, cut: true }
    // Rare: a cut inside a word can cost a token more than the whole word.
    limit = end - 1
  }
  return { text: '', tokens: 0, cut: true }
}

/** The last place in the last chunk up to which the text has at most `maxTokens` tokens, give or take one. */
function fittingEnd(text: string, read: Read, maxTokens: number): number {
  let fits = read.starts.at(-1) ?? 0
  let over = read.end
  while (over - fits > 1) {
    const middle = (fits + over) >> 1
    if (countTo(text, middle, read) <= maxTokens) fits = middle
    else over = middle
  }
  return fits
}

/** Tokens of text.slice(0, end), by the chunks that were counted already. */
function countTo(text: string, end: number, { starts, before }: Read): number {
  for (let index = starts.length - 1; index > 0; index -= 1) {
    const start = starts[index] ?? 0
    // A chunk's end looks one character ahead: it holds for the beginning alone only if that character is in it.
    if (start < end && chunkEnd(text, starts[index - 1] ?? 0, end) === start) {
      return (before[index] ?? 0) + countFrom(text, start, end)
    }
  }
  return countFrom(text, 0, end)
}

function countFrom(text: string, start: number, end: number): number {
  let tokens = 0
  for (let from = start; from < end; ) {
    const to = chunkEnd(text, from, end)
    tokens += countChunk(text, from, to)
    from = to
  }
  return tokens
}

/** Depends on the text from `start` alone, so that a beginning of a text has the chunks of the text. */
function chunkEnd(text: string, start: number, limit: number): number {
  if (limit - start <= chunkCharacters) return limit
  const last = Math.min(limit, start + longestChunk)
  for (let at = start + chunkCharacters; at + 1 < last; at += 1) {
    // Between a letter and a space before a letter the encoding always parts: the sum is that of the whole.
    if (text.charCodeAt(at) === 32 && isLetter(text, at - 1) && isLetter(text, at + 1)) return at
  }
  return insidePair(text, last) ? last - 1 : last
}

function countChunk(text: string, start: number, end: number): number {
  const table = kinds()
  let tokens = 0
  let from = start
  let runStart = start
  let kind: number | undefined
  for (let at = start; at < end; at += 1) {
    const next = table[text.charCodeAt(at)]
    if (next !== kind) {
      kind = next
      runStart = at
    } else if (at - runStart >= longestRun && kind !== digit && !insidePair(text, at)) {
      tokens += countPart(text, from, at)
      from = at
      runStart = at
    }
  }
  return tokens + countPart(text, from, end)
}

function countPart(text: string, start: number, end: number): number {
  const { pattern, counts } = encoding()
  let tokens = 0
  for (const word of text.slice(start, end).match(pattern) ?? []) tokens += counts.of(word)
  return tokens
}

const sign = 0
const letter = 1
const space = 2
const digit = 3
let kindTable: Uint8Array | undefined

/** The kind of every UTF-16 unit, as the encoding parts them; halves of a pair count as letters. */
function kinds(): Uint8Array {
  if (kindTable) return kindTable
  kindTable = new Uint8Array(0x10000)
  for (let unit = 0; unit < kindTable.length; unit += 1) {
    const character = String.fromCharCode(unit)
    if (/[\p{L}\p{M}\p{Cs}]/u.test(character)) kindTable[unit] = letter
    else if (/\s/.test(character)) kindTable[unit] = space
    else kindTable[unit] = /\p{N}/u.test(character) ? digit : sign
  }
  return kindTable
}

function isLetter(text: string, at: number): boolean {
  const unit = text.charCodeAt(at)
  // Half a pair may be an emoji, which the encoding joins with the space before it.
  return kinds()[unit] === letter && (unit < 0xd800 || unit > 0xdfff)
}

function insidePair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800
}

/** How the encoding parts a text into words, each of which is encoded for itself. */
interface Words {
  pattern: RegExp
  counts: WordCounts
}

let loaded: Words | undefined

/** Loaded at the first count: it takes 0.1 s, which most commands can do without. */
function encoding(): Words {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  const tokens = readFileSync(require.resolve('gpt-tokenizer/data/o200k_base.tiktoken'))
  const { O200K_TOKEN_SPLIT_REGEX: pattern } = require('gpt-tokenizer/encodingParams/constants') as typeof Constants
  const pairs = new BytePairs(tokens)
  loaded = { pattern, counts: new WordCounts(word => pairs.count(word)) }
  return loaded
}
