import { normalise } from '../../../operators/dedup/normalise.ts'
import { unspacedScripts } from '../../../operators/unspaced.ts'

/** What an index looks for, and how much it weighs beside the others. */
export interface Term {
  /** Words with a space between them, which must follow each other; no syntax is in it. */
  text: string
  weight: number
  /** A keyword of several words, as a whole. */
  isWhole: boolean
}

/** A keyword as a whole weighs half a word more: documents that only hold its words come after it. */
const wholeWeight = 0.5
/** Keywords come from a model, which may write a page of them. */
const maxTerms = 64

const word = /[\p{L}\p{N}\p{M}]+/gu
const unspaced = new RegExp(`[${unspacedScripts}]`, 'gv')
const unspacedRun = new RegExp(`[${unspacedScripts}]+`, 'gv')
const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })

/**
 * A text as it is indexed: characters of scripts without spaces stand alone, so that a word of them is found wherever
 * its characters follow each other, however a segmenter would cut the text.
 */
export function toIndexed(text: string): string {
  return normalise(text).replace(unspaced, ' $& ')
}

/** The terms of some keywords: each word once, and each keyword of several words as a whole. */
export function termsOf(keywords: readonly string[]): Term[] {
  const terms = new Map<string, Term>()
  for (const keyword of keywords) {
    const words = wordsOf(keyword)
    for (const text of words) terms.set(text, { text, weight: 1, isWhole: false })
    const whole = words.join(' ')
    if (words.length > 1 && !terms.has(whole)) terms.set(whole, { text: whole, weight: wholeWeight, isWhole: true })
  }
  return [...terms.values()].slice(0, maxTerms)
}

function wordsOf(keyword: string): string[] {
  const cut = normalise(keyword).replace(unspacedRun, run => ` ${wordLike(run).join(' ')} `)
  return (cut.match(word) ?? []).map(found => toIndexed(found).trim().replace(/ +/g, ' '))
}

function wordLike(run: string): string[] {
  return [...segmenter.segment(run)].map(({ segment }) => segment)
}

/** Share of the keywords' terms that a text holds, 0 to 1: for texts of which nobody knows what is rare. */
export function coverageOf(keywords: readonly string[], text: string): number {
  const terms = termsOf(keywords)
  const words = ` ${(toIndexed(text).match(word) ?? []).join(' ')} `
  const whole = terms.reduce((sum, { weight }) => sum + weight, 0)
  const held = terms.reduce((sum, { text, weight }) => sum + (words.includes(` ${text} `) ? weight : 0), 0)
  return whole === 0 ? 0 : held / whole
}
