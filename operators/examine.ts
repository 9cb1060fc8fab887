import { z } from 'zod'
import type { Check, Checks, Excerpt } from '../schemas/records.ts'
import { failed, passed } from './examine/check.ts'
import { checkComplete } from './examine/complete.ts'
import { type CopiedRuns, copiedRuns } from './examine/copied-runs.ts'
import { groundingIn } from './examine/grounding.ts'
import { checkRefusalOrMeta } from './examine/refusal-or-meta.ts'
import { checkSelfContained } from './examine/self-contained.ts'
import { detectLanguage } from './language.ts'
import { drop, type Operator } from './operator.ts'
import { unitsOf } from './text-units.ts'
import { weightedLength } from './unspaced.ts'

/** What a record is dropped for, where that is asked for, by the check that fails. */
const reasons = {
  selfContained: 'not_self_contained',
  grounded: 'not_grounded',
  language: 'wrong_language',
  copying: 'copied',
  refusalOrMeta: 'refusal_or_meta',
  complete: 'incomplete',
  length: 'wrong_length',
} as const satisfies Record<keyof Checks, string>

const checkNames = Object.keys(reasons) as (keyof Checks)[]

const optionsSchema = z.strictObject({
  dropFor: z
    .array(z.enum(Object.values(reasons)))
    .default([])
    .describe('Reasons for which an instruction is dropped; without any, all go on with what was found.'),
  minimumGroundedShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.15)
    .describe('Share of its words, names and numbers, 0 to 1, that the document must hold.'),
  maximumCopiedShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe('Share of it, 0 to 1, that may be copied from the document in runs of at least 8 words.'),
  minimumCharacters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('Fewer are too short. A letter of a script without spaces counts as three.'),
  maximumCharacters: z.int().min(1).max(10_000_000).default(20_000).describe('More are too long; counted likewise.'),
})

export type ExamineOptions = z.output<typeof optionsSchema>

/** Share in copied runs from which an instruction counts as holding an excerpt of its document. */
const excerptShare = 0.15
/** Shorter texts say too little for the language to be told. */
const leastTold = 30

/** Checks of a made instruction that need no model: a label each, and a drop where one is asked for. */
export const examine: Operator<'instruction', 'examined', ExamineOptions> = {
  name: 'examine',
  version: 1,
  from: 'instruction',
  to: 'examined',
  optional: 'inserted',
  summary: 'Checks instructions for missing context, grounding, language, copying, refusals, gaps and length.',
  reasons: Object.values(reasons),
  options: optionsSchema,
  async apply(record, { options }) {
    const { text, document, language } = record
    const { text: source = '', title = null, language: own = null } = document ?? {}
    const checks = await examineText(text, { text: source, title, language: language ?? own }, options)
    const failing = checkNames.find(name => !checks[name].ok && options.dropFor.includes(reasons[name]))
    if (failing) {
      const { value, evidence } = checks[failing]
      return drop(reasons[failing], { detail: [evidence, value].filter(part => part !== null).join(' ') })
    }
    const { id: _id, ...rest } = record
    return [{ ...rest, checks }]
  },
}

/** What examine found of an instruction that has passed it; null for another one. */
export function checksOf(record: object): Checks | null {
  return (record as { checks?: Checks | null }).checks ?? null
}

/** @param document - Its text may be empty or missing: grounding and copying are then ok without a value. */
export async function examineText(
  text: string,
  document: Pick<Excerpt, 'text' | 'title' | 'language'> | null,
  options: ExamineOptions,
): Promise<Checks> {
  const source = document?.text ?? ''
  const runs = source.trim() === '' ? null : copiedRuns(unitsOf(text), unitsOf(source))
  const language = await checkLanguage(text, document?.language ?? (await detectLanguage(source)))
  return {
    selfContained: checkSelfContained(text, runs !== null && runs.share >= excerptShare, source),
    grounded: runs && language.ok ? checkGrounded(text, `${document?.title ?? ''}\n${source}`, options) : passed(),
    language,
    copying: runs ? checkCopying(runs, options) : passed(),
    refusalOrMeta: checkRefusalOrMeta(text),
    complete: checkComplete(text, source),
    length: checkLength(text, options),
  }
}

function checkGrounded(text: string, document: string, { minimumGroundedShare }: ExamineOptions): Check {
  const { share, missing } = groundingIn(text, document)
  if (share === null || share >= minimumGroundedShare) return passed(share)
  return failed(`not in the document: ${missing.slice(0, 8).join(', ')}`, share)
}

async function checkLanguage(text: string, wanted: string | null): Promise<Check> {
  if (wanted === null || weightedLength(text) < leastTold) return passed()
  const found = await detectLanguage(text)
  if (found === null || found === wanted) return passed()
  // A task may be about a text in another language.
  const own = text.replace(/"[^"]{10,}"|“[^”]{10,}”|„[^“”]{10,}[“”]|«[^»]{10,}»|「[^」]{5,}」/g, ' ')
  if (own !== text && weightedLength(own) >= leastTold && (await detectLanguage(own)) === wanted) return passed()
  return failed(`language ${found}; wanted: ${wanted}`)
}

function checkCopying({ share, longest }: CopiedRuns, { maximumCopiedShare }: ExamineOptions): Check {
  return share <= maximumCopiedShare ? passed(share, longest || null) : failed(longest, share)
}

function checkLength(text: string, { minimumCharacters, maximumCharacters }: ExamineOptions): Check {
  const length = weightedLength(text)
  if (length < minimumCharacters)
    return failed(`${length} characters; at least ${minimumCharacters} are wanted`, length)
  if (length > maximumCharacters) return failed(`${length} characters; at most ${maximumCharacters} are wanted`, length)
  return passed(length)
}
