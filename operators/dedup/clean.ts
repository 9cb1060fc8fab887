import { z } from 'zod'
import type { RealInstruction } from '../../schemas/records.ts'
import { checkComplete } from '../examine/complete.ts'
import { languagesOption } from '../language.ts'
import { type Drop, drop } from '../operator.ts'
import { weightedLength } from '../unspaced.ts'

export const cleanOptions = z.strictObject({
  minimumCharacters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('Shorter ones are dropped as too_short. A letter of a script without spaces counts as three.'),
  maximumCharacters: z
    .int()
    .min(1)
    .max(100_000_000)
    .default(20_000)
    .describe('Longer ones are dropped as too_long; counted likewise.'),
  languages: languagesOption,
})

export type CleanOptions = z.output<typeof cleanOptions>

type Asked = Pick<RealInstruction, 'text' | 'document' | 'language'>

/** What `uncleanness` drops for, in the order in which it looks. */
export const cleanReasons = ['too_short', 'too_long', 'wrong_language', 'incomplete'] as const

/** Why an instruction that a person wrote is of no use; null where it is. */
export function uncleanness(
  asked: Asked,
  { minimumCharacters, maximumCharacters, languages }: CleanOptions,
): Drop | null {
  const length = weightedLength(asked.text)
  if (length < minimumCharacters) {
    return drop('too_short', { detail: `${length} characters; at least ${minimumCharacters} are wanted` })
  }
  if (length > maximumCharacters) {
    return drop('too_long', { detail: `${length} characters; at most ${maximumCharacters} are wanted` })
  }
  const { language } = asked
  if (language !== null && languages.length > 0 && !languages.includes(language)) {
    return drop('wrong_language', { detail: `language ${language}; wanted: ${languages.join(', ')}` })
  }
  const detail = incompleteness(asked)
  return detail === null ? null : drop('incomplete', { detail })
}

/** Places of prompt templates that people send without having filled them; models leave other ones. */
const unfilled: readonly RegExp[] = [
  /\{(?:insert|paste|enter|your)\b[^}\n]{0,80}\}/i,
  /\((?:please )?(?:insert|paste)\s[^)\n]{1,80}\)/i,
  /(?<![\w$])\{[A-Z][A-Z_ ]{2,40}\}/,
  /\b(?:INSERT|YOUR|ENTER|PASTE)[_ ][A-Z_ ]{2,40}[_ ]HERE\b/,
]

/** The place that was never filled, or the end that breaks off. */
function incompleteness({ text, document }: Asked): string | null {
  for (const pattern of unfilled) {
    const found = pattern.exec(text)
    if (found) return found[0]
  }
  // "Sum up the following text:" announces the document that came with it.
  const whole = document ? text.replace(/[:：]\s*$/, '.') : text
  return checkComplete(whole, document?.text ?? '').evidence
}
