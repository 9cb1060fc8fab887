import { z } from 'zod'
import type { Noun, Records, Scores } from '../schemas/records.ts'
import { composeInstruction, type InstructionOptions, instructionOptions, materialOf } from './composition.ts'
import { moderationOf } from './moderate.ts'
import { type Draft, drop, type Operator } from './operator.ts'
import { findPlaceholder } from './reply/placeholders.ts'
import { ask } from './reply.ts'

export const criteria = [
  'specificity',
  'domainKnowledge',
  'complexity',
  'problemSolving',
  'creativity',
  'technicalAccuracy',
  'realWorldApplication',
] as const satisfies readonly (keyof Scores)[]

type Criterion = (typeof criteria)[number]

/** As it stands in the prompt's sample: a reply that repeats it is no reply. */
const sampleAnalysis = 'Why, in one sentence.'
const accepted: Readonly<Record<string, 0 | 1>> = { 0: 0, 1: 1, false: 0, true: 1 }

/** Asked for as 0 or 1; taken as "1" and true too. */
const scoreReply = z
  .preprocess(
    value => accepted[String(value).trim().toLowerCase()] ?? value,
    z.literal([0, 1], { error: 'expected 0 or 1' }),
  )
  .meta({ type: 'integer', enum: [0, 1] })

const verdict = z.object({ analysis: z.string().describe(sampleAnalysis), score: scoreReply })
const described = new Map(criteria.map(criterion => [criterion, sampleAnalysis]))

/** What the model answers: a verdict on each criterion, none of which is the sample of the prompt. */
export const scoresReply = z
  .object(Object.fromEntries(criteria.map(name => [name, verdict])) as Record<Criterion, typeof verdict>)
  .superRefine((verdicts, context) => {
    const analyses = Object.fromEntries(criteria.map(name => [name, verdicts[name].analysis]))
    const problem = findPlaceholder(analyses, described)
    if (problem) context.addIssue({ code: 'custom', message: problem })
  })

/** @param minimumScore - Where the options tell none. */
function scoreOptions(minimumScore: number) {
  return instructionOptions.extend({
    minimumScore: z
      .int()
      .min(0)
      .max(criteria.length)
      .default(minimumScore)
      .describe('Criteria, of seven, that must be met; with fewer an instruction is dropped as low_score.'),
    require: z
      .array(z.enum(criteria))
      .default([])
      .describe('Criteria that must be met whatever the others are, such as technicalAccuracy.'),
  })
}

export type ScoreOptions = InstructionOptions & { minimumScore: number; require: Criterion[] }

/** A place where instructions are judged, and how a record goes on from there. */
interface Score<In extends 'deduped' | 'distinct', Out extends Noun> {
  name: string
  from: In
  to: Out
  summary: string
  /** Where the options tell none. */
  minimumScore: number
  keep(record: Records[In], scores: Scores): Draft<Out>
}

/**
 * A stage that has a model judge each instruction by seven criteria, and keeps those that meet enough of them.
 *
 * The text alone is judged. The calls are told in the field `scoring`; `provenance` stays that of the instruction.
 */
function score<In extends 'deduped' | 'distinct', Out extends 'scored' | 'chosen'>({
  minimumScore,
  keep,
  ...stage
}: Score<In, Out>): Operator<In, Out, ScoreOptions> {
  return {
    ...stage,
    version: 1,
    optional: 'inserted',
    reasons: ['low_score'],
    options: scoreOptions(minimumScore),
    prompt: { fields: ['instruction'], file: 'score' },
    provenanceField: 'scoring',

    async apply(record, context) {
      const messages = composeInstruction(record.text, {}, materialOf(context))
      const verdicts = await ask(context, messages, { name: 'scores', schema: scoresReply })
      const total = criteria.filter(name => verdicts[name].score === 1).length
      const scores: Scores = { total, ...verdicts }
      const missed = shortfall(scores, context.options)
      return missed === null ? [keep(record, scores)] : drop('low_score', { detail: `${tell(scores)}; ${missed}` })
    },

    messages({ text }, material) {
      return composeInstruction(text, {}, material)
    },
  }
}

/** The rule that the scores break; null where they break none. */
function shortfall(scores: Scores, { minimumScore, require }: ScoreOptions): string | null {
  if (scores.total < minimumScore) return `at least ${minimumScore} are wanted`
  const missing = require.filter(name => scores[name].score === 0)
  return missing.length > 0 ? `required: ${missing.join(', ')}` : null
}

/** Such as `total 3 of 7 (specificity 1, domainKnowledge 0, …)`: the total first, so that totals can be counted. */
function tell(scores: Scores): string {
  const each = criteria.map(name => `${name} ${scores[name].score}`)
  return `total ${scores.total} of ${criteria.length} (${each.join(', ')})`
}

/** Made instructions. Nearly all of a good model's meet three criteria, so the histogram says more than the drops. */
export const scoreInstruction = score({
  name: 'score',
  from: 'deduped',
  to: 'scored',
  summary: 'Drops instructions that meet too few of seven criteria, by the judgement of a model.',
  minimumScore: 3,
  keep({ id: _id, input: _input, ...record }, scores) {
    return { ...record, ...moderationOf(record), scores }
  },
})

/** Instructions of people: what demonstrations are made of must be of the best. */
export const scoreReal = score({
  name: 'score-real',
  from: 'distinct',
  to: 'chosen',
  summary: "Drops people's instructions that do not meet all of seven criteria, by the judgement of a model.",
  minimumScore: criteria.length,
  keep({ id: _id, input: _input, ...record }, scores) {
    return { ...record, scores }
  },
})
