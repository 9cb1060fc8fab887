import { z } from 'zod'
import type { Noun, Records } from '../schemas/records.ts'
import { checksOf } from './examine.ts'
import { type Draft, drop, type Operator } from './operator.ts'

/** Records that are judged by their text. */
type TextNoun = { [N in Noun]: Records[N] extends { text: string } ? N : never }[Noun]

/** A place where benchmark prompts are taken out, and how a record goes on from there. */
interface Decontaminate<In extends TextNoun, Out extends Noun> {
  name: string
  from: In
  to: Out
  keep(record: Records[In]): Promise<Draft<Out>> | Draft<Out>
}

const optionsSchema = z.strictObject({})

export type DecontaminateOptions = z.output<typeof optionsSchema>

/**
 * A stage that takes out texts which hold a prompt that models are measured by, whole or 13 words of it in a row.
 *
 * Which benchmarks is told by the index in the context, whose hash belongs to what the outputs depend on.
 */
export function decontaminate<In extends TextNoun, Out extends Noun>(
  stage: Decontaminate<In, Out>,
): Operator<In, Out, DecontaminateOptions> {
  const { name, from, to, keep } = stage
  return {
    name,
    version: 1,
    from,
    to,
    summary: `Drops records of ${from} that hold a benchmark prompt.`,
    reasons: ['benchmark_prompt'],
    options: optionsSchema,
    benchmarks: true,
    optional: 'inserted',
    async apply(record, { benchmarks }) {
      const found = benchmarks.find(record.text)
      if (!found) return [await keep(record)]
      return drop('benchmark_prompt', { detail: `prompt ${found.id} of ${found.benchmark}: ${found.ngram}` })
    },
  }
}

/** Made instructions without those that models are measured by. */
export const decontaminateInstruction = decontaminate({
  name: 'decontaminate',
  from: 'instruction',
  to: 'decontaminated',
  keep({ id: _id, ...record }) {
    return { ...record, checks: checksOf(record) }
  },
})

/** The same for instructions of people, which leak into benchmarks as often. */
export const decontaminateReal = decontaminate({
  name: 'decontaminate-real',
  from: 'distinct',
  to: 'decontaminated-real',
  keep({ id: _id, ...record }) {
    return record
  },
})
