import { z } from 'zod'
import type { RealInstruction } from '../../schemas/records.ts'
import { languagesOption } from '../language.ts'
import { type Drop, drop } from '../operator.ts'
import { weightedLength } from '../unspaced.ts'
import { incompleteness } from './incomplete.ts'

export const cleanOptions = z.strictObject({
  minimumCharacters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('Shorter ones are dropped as too_short. A letter of a script without spaces counts as three.'),
  maximumCharacters: z.int().min(1).max(100_000_000).default(20_000).describe('Longer ones are dropped as too_long.'),
  languages: languagesOption,
})

export type CleanOptions = z.output<typeof cleanOptions>

/** What `uncleanness` drops for, in the order in which it looks. */
export const cleanReasons = ['too_short', 'too_long', 'wrong_language', 'incomplete'] as const

/** Why an instruction that a person wrote is of no use; null where it is. */
export function uncleanness(
  { text, document, language }: Pick<RealInstruction, 'text' | 'document' | 'language'>,
  { minimumCharacters, maximumCharacters, languages }: CleanOptions,
): Drop | null {
  const length = weightedLength(text)
  if (length < minimumCharacters) {
    return drop('too_short', { detail: `${length} characters; at least ${minimumCharacters} are wanted` })
  }
  const characters = text.trim().length
  if (characters > maximumCharacters) {
    return drop('too_long', { detail: `${characters} characters; at most ${maximumCharacters} are wanted` })
  }
  if (language !== null && languages.length > 0 && !languages.includes(language)) {
    return drop('wrong_language', { detail: `language ${language}; wanted: ${languages.join(', ')}` })
  }
  const detail = incompleteness(text, document !== null)
  return detail === null ? null : drop('incomplete', { detail })
}
