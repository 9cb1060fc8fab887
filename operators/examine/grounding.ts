import { normalise } from '../dedup/normalise.ts'
import { unspacedScripts } from '../unspaced.ts'
import { commonWords } from './common-words.ts'

/** Words that differ behind this many letters only are forms of one. */
const stemLetters = 5
const leastLetters = 4
/** Fewer say nothing about what a text is about. */
const leastItems = 5

const word = /[\p{L}\p{M}]+/gu
const number = /\d+(?:[.,'’ \u00a0\u202f]\d+)*/gu
const unspacedRun = new RegExp(`[[[${unspacedScripts}]&&\\p{L}]--\\p{scx=Hiragana}]{2,}`, 'gv')
const unspacedLetter = new RegExp(`[${unspacedScripts}]`, 'v')

export interface Grounding {
  /** Share of what the instruction is about that the document holds, 0 to 1; null where there is too little to tell. */
  share: number | null
  /** Some of what the document does not hold. */
  missing: readonly string[]
}

/** What of an instruction's words, names and numbers its document holds. */
export function groundingIn(text: string, document: string): Grounding {
  const items = itemsOf(text)
  if (items.size < leastItems) return { share: null, missing: [] }
  const held = new Set(itemsOf(document).keys())
  const missing = [...items].filter(([item]) => !held.has(item)).map(([, seen]) => seen)
  return { share: 1 - missing.length / items.size, missing }
}

/** From the form by which items are compared to how they are written. */
function itemsOf(text: string): Map<string, string> {
  const normalised = normalise(text)
  const items = new Map<string, string>()
  for (const [found] of normalised.matchAll(number)) items.set(found.replace(/\D/g, ''), found)
  for (const [found] of normalised.matchAll(word)) {
    if (found.length < leastLetters || commonWords.has(found) || unspacedLetter.test(found)) continue
    items.set(found.slice(0, stemLetters), found)
  }
  for (const [run] of normalised.matchAll(unspacedRun)) {
    for (let at = 0; at + 2 <= run.length; at += 1) items.set(run.slice(at, at + 2), run.slice(at, at + 2))
  }
  return items
}
