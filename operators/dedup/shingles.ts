import { unspacedScripts } from '../unspaced.ts'

export const wordsPerShingle = 3
/** About three words of Chinese or Japanese. */
export const charactersPerShingle = 5

const unspaced = new RegExp(`[${unspacedScripts}]`, 'gu')
const lookedAt = 20_000
/** Of the letters. Low, since one Chinese character weighs as much as three Latin letters. */
const unspacedShare = 0.2

/**
 * The shingles of a normalised text: 3 words, or 5 characters where the script puts no space between words.
 *
 * None for a text that is shorter than one shingle. May give one several times.
 */
export function* shingles(normalised: string): Generator<string> {
  const bySpaces = !isUnspaced(normalised)
  const units = bySpaces ? normalised.split(' ') : Array.from(normalised.replaceAll(' ', ''))
  const length = bySpaces ? wordsPerShingle : charactersPerShingle
  const joint = bySpaces ? ' ' : ''
  for (let start = 0; start + length <= units.length; start += 1) {
    yield units.slice(start, start + length).join(joint)
  }
}

function isUnspaced(normalised: string): boolean {
  const beginning = normalised.slice(0, lookedAt)
  const found = beginning.match(unspaced)?.length ?? 0
  return found > 0 && found >= unspacedShare * (beginning.match(/\p{L}/gu)?.length ?? 0)
}
