import { joinUnits, unitsOf, weightOf, wordWeight } from './text-units.ts'

const words = 4
/** Enough for as many words of any language. */
const lookedAt = 500
const longest = 80

/**
 * How a text begins, as openings are compared: its first four words, or seven characters of a script without spaces.
 * Case, punctuation and spacing are folded. Empty for a text without letters and digits.
 */
export function openingOf(text: string): string {
  const opening: string[] = []
  let weight = 0
  for (const unit of unitsOf(text.slice(0, lookedAt).toWellFormed())) {
    if (weight >= words * wordWeight) break
    weight += weightOf(unit)
    opening.push(unit)
  }
  return joinUnits(opening).slice(0, longest).toWellFormed()
}
