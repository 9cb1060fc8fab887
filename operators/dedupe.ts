import { z } from 'zod'
import type { Excerpt, Noun, Records, Reference } from '../schemas/records.ts'
import { type CleanOptions, cleanOptions, cleanReasons, uncleanness } from './dedup/clean.ts'
import { ExactIndex } from './dedup/exact-index.ts'
import { MinhashIndex } from './dedup/minhash-index.ts'
import { isEmpty, routeByText } from './dedup/normalise.ts'
import { checksOf } from './examine.ts'
import { detectLanguage } from './language.ts'
import { type Draft, Drop, drop, type Operator } from './operator.ts'

export interface DedupeOptions {
  nearDuplicates: boolean
  threshold: number
}

/** Records that are compared by their text. */
type TextNoun = { [N in Noun]: Records[N] extends { text: string } ? N : never }[Noun]

/** A place where repeats are taken out, and how a record goes on from there. */
interface Dedupe<In extends TextNoun, Out extends Noun, Options extends DedupeOptions> {
  name: string
  from: In
  to: Out
  summary: string
  options: z.ZodType<Options>
  optional?: 'inserted' | 'apart'
  /** What `keep` drops for. */
  reasons?: readonly string[]
  keep(record: Records[In], options: Options): Promise<Draft<Out> | Drop> | Draft<Out> | Drop
}

/**
 * A stage that keeps the first of equal texts, or of similar ones.
 *
 * Its state is the index in the context: the runtime writes its entries in the commit that holds the outputs, so after
 * a crash the records of that commit are worked again and none is lost.
 */
function dedupe<In extends TextNoun, Out extends Noun, Options extends DedupeOptions>({
  keep,
  reasons = [],
  ...stage
}: Dedupe<In, Out, Options>): Operator<In, Out, Options> {
  return {
    ...stage,
    version: 1,
    reasons: ['empty', ...reasons, 'repeat', 'near_duplicate'],
    createIndex: options => (options.nearDuplicates ? new MinhashIndex(options) : new ExactIndex()),
    route: record => routeByText(record.text),
    async apply(record, { id, options, index }) {
      if (isEmpty(record.text)) return drop('empty')
      const draft = await keep(record, options)
      if (draft instanceof Drop) return draft
      // Last, since what throws after it would leave a kept record without an output.
      const twin = index.insert(id, record.text)
      if (!twin) return [draft]
      return drop(twin.similarity === 1 ? 'repeat' : 'near_duplicate', { twin: twin.id, similarity: twin.similarity })
    },
  }
}

/** @param nearDuplicates - Whether near-duplicates are taken out unless the options say otherwise. */
function dedupeOptions(nearDuplicates: boolean) {
  return z.strictObject({
    nearDuplicates: z
      .boolean()
      .default(nearDuplicates)
      .describe('Drop near-duplicates too; otherwise only texts that are the same but for case and white space.'),
    threshold: z
      .number()
      .min(0.5)
      .max(1)
      .default(0.75)
      .describe('Estimated Jaccard similarity of the shingles from which a text is a near-duplicate, 0.5 to 1.'),
  })
}

/** Content counts once: from here on a text is in the chain a single time. */
export const dedupeDocument = dedupe<'article', 'document', DedupeOptions>({
  name: 'dedupe-document',
  from: 'article',
  to: 'document',
  summary: 'Drops articles whose text was seen before.',
  options: dedupeOptions(false),
  async keep({ url, title, text, language, source }) {
    return { url, title, text, language: language ?? (await detectLanguage(text)), source }
  },
})

/** Near-duplicates of instructions, of which models write many. */
export const dedupeInstruction = dedupe<'instruction', 'deduped', DedupeOptions>({
  name: 'dedupe-instruction',
  from: 'instruction',
  to: 'deduped',
  summary: 'Drops instructions that are near-duplicates of earlier ones.',
  options: dedupeOptions(true),
  keep({ id: _id, document, ...record }) {
    return { ...record, document: document && referenceTo(document), checks: checksOf(record) }
  },
})

/** Instructions of people, of which many are unfinished, templates, or asked again and again. */
export const dedupeReal = dedupe<'real-instruction', 'distinct', DedupeOptions & CleanOptions>({
  name: 'dedupe-real',
  from: 'real-instruction',
  to: 'distinct',
  summary: "Drops people's instructions that are incomplete, or near-duplicates of earlier ones.",
  options: dedupeOptions(true).extend(cleanOptions.shape),
  optional: 'apart',
  reasons: cleanReasons,
  async keep({ text, language, document, source }, options) {
    const told = language?.length === 2 ? language : ((await detectLanguage(text)) ?? language)
    return uncleanness({ text, document, language: told }, options) ?? { text, language: told, document, source }
  },
})

function referenceTo({ id, url, title, language }: Excerpt): Reference {
  return { id, url, title, language }
}
