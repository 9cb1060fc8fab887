import { normalise } from './dedup/normalise.ts'
import { charactersPerShingle, wordsPerShingle } from './dedup/shingles.ts'
import { unspacedScripts } from './unspaced.ts'

/** What a word weighs, so that three words weigh as much as five characters of a script without spaces. */
export const wordWeight = charactersPerShingle
const characterWeight = wordsPerShingle

const readable = '[\\p{L}\\p{N}\\p{M}]'
const unit = new RegExp(`[[${unspacedScripts}]&&${readable}]|[${readable}--[${unspacedScripts}]]+`, 'gv')
const unspacedUnit = new RegExp(`^[${unspacedScripts}]`, 'v')

/**
 * What a text is compared by: its words, or its characters where the script puts no space between words, both where it
 * is mixed. Case, punctuation, spacing and Unicode form are folded.
 */
export function unitsOf(text: string): string[] {
  return normalise(text).match(unit) ?? []
}

export function isUnspacedUnit(given: string): boolean {
  return unspacedUnit.test(given)
}

export function weightOf(given: string): number {
  return isUnspacedUnit(given) ? characterWeight : wordWeight
}

/** Units as a reader sees them: a space between words alone. */
export function joinUnits(units: readonly string[]): string {
  return units
    .map((given, at) =>
      at > 0 && !(isUnspacedUnit(given) && isUnspacedUnit(units[at - 1] ?? '')) ? ` ${given}` : given,
    )
    .join('')
}
