import { z } from 'zod'
import type { Moderation } from '../../schemas/records.ts'
import type { PlainForm } from '../reply.ts'
import type { HazardTable } from './hazards.ts'

/** What a model said; whether it was shown the whole text it can't know. */
export type Judgement = Omit<Moderation, 'whole'>

/** As it stands in the prompt's sample: a reply that repeats it is no reply. */
const sampleReason = 'What decides, in one sentence.'

/** What a moderation model gives, whatever its endpoint calls its categories. */
export const moderationAnswer: z.ZodType<Judgement> = z.object({
  flagged: z.boolean(),
  categories: z.array(z.object({ category: z.string(), flagged: z.boolean(), score: z.number().nullable() })),
  reason: z.null().default(null),
})

const schemas = new WeakMap<HazardTable, z.ZodType<Judgement>>()

/** What a chat model answers: why, and the categories by name, none for a harmless text. */
export function judgementReply(table: HazardTable): z.ZodType<Judgement> {
  const known = schemas.get(table)
  if (known) return known
  const category = z
    .preprocess(
      said => table.nameOf(String(said)) ?? said,
      z.enum(table.names, { error: `expected one of ${table.names.join(', ')}` }),
    )
    .meta({ type: 'string', enum: [...table.names] })
  const schema = z
    .object({ reason: z.string().describe(sampleReason), categories: z.array(category) })
    .transform(({ reason, categories }) => judgementOf(categories, reason))
  schemas.set(table, schema)
  return schema
}

/** What guard models answer: `safe`, or `unsafe` and in the next line the codes of the categories. */
export function guardForm(table: HazardTable): PlainForm<Judgement> {
  return answer => {
    const [, verdict, rest = ''] = /^\s*(safe|unsafe)\b[\s:.]*(.*)$/is.exec(answer) ?? []
    // JSON behind the verdict says more.
    if (verdict === undefined || rest.includes('{')) return undefined
    if (verdict.toLowerCase() === 'safe') return rest === '' ? { value: judgementOf([], null) } : undefined
    const said = rest.split(/[,;\n]|\s(?=S\d)/).filter(part => /\w/.test(part))
    const names = said.map(part => table.nameOf(part))
    const unknown = said.find((_, index) => names[index] === undefined)
    if (unknown !== undefined) return { problem: `${JSON.stringify(unknown.trim().slice(0, 60))} is no category` }
    const categories = names.filter(name => name !== undefined)
    return { value: { ...judgementOf(categories, null), flagged: true } }
  }
}

function judgementOf(names: readonly string[], reason: string | null): Judgement {
  const categories = [...new Set(names)].map(category => ({ category, flagged: true, score: null }))
  return { flagged: categories.length > 0, categories, reason }
}
