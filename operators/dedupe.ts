import { z } from 'zod'
import type { Article, Excerpt, Instruction, Reference } from '../schemas/records.ts'
import { ExactIndex } from './dedup/exact-index.ts'
import { MinhashIndex } from './dedup/minhash-index.ts'
import { isEmpty, routeByText } from './dedup/normalise.ts'
import { checksOf } from './examine.ts'
import { detectLanguage } from './language.ts'
import { type Draft, drop, type Operator } from './operator.ts'

export interface DedupeOptions {
  nearDuplicates: boolean
  threshold: number
}

/** The two places where repeats are taken out, and how a record goes on from there. */
interface Dedupe<In extends 'article' | 'instruction', Out extends 'document' | 'deduped'> {
  name: string
  from: In
  to: Out
  summary: string
  /** Whether near-duplicates are taken out unless the options say otherwise. */
  nearDuplicates: boolean
  keep(record: In extends 'article' ? Article : Instruction): Promise<Draft<Out>> | Draft<Out>
}

/**
 * A stage that keeps the first of equal texts, or of similar ones.
 *
 * Its state is the index in the context: the runtime writes its entries in the commit that holds the outputs, so after
 * a crash the records of that commit are worked again and none is lost.
 */
export function dedupe<In extends 'article' | 'instruction', Out extends 'document' | 'deduped'>(
  stage: Dedupe<In, Out>,
): Operator<In, Out, DedupeOptions> {
  const { name, from, to, summary, nearDuplicates, keep } = stage
  return {
    name,
    version: 1,
    from,
    to,
    summary,
    reasons: ['empty', 'repeat', 'near_duplicate'],
    options: z.strictObject({
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
    }),
    createIndex: options => (options.nearDuplicates ? new MinhashIndex(options) : new ExactIndex()),
    route: record => routeByText(record.text),
    async apply(record, { id, index }) {
      if (isEmpty(record.text)) return drop('empty')
      const draft = await keep(record as Parameters<typeof keep>[0])
      // Last, since what throws after it would leave a kept record without an output.
      const twin = index.insert(id, record.text)
      if (!twin) return [draft]
      return drop(twin.similarity === 1 ? 'repeat' : 'near_duplicate', { twin: twin.id, similarity: twin.similarity })
    },
  }
}

/** Content counts once: from here on a text is in the chain a single time. */
export const dedupeDocument = dedupe({
  name: 'dedupe-document',
  from: 'article',
  to: 'document',
  summary: 'Drops articles whose text was seen before.',
  nearDuplicates: false,
  async keep({ url, title, text, language, source }) {
    return { url, title, text, language: language ?? (await detectLanguage(text)), source }
  },
})

/** Near-duplicates of instructions, of which models write many. */
export const dedupeInstruction = dedupe({
  name: 'dedupe-instruction',
  from: 'instruction',
  to: 'deduped',
  summary: 'Drops instructions that are near-duplicates of earlier ones.',
  nearDuplicates: true,
  keep({ id: _id, document, ...record }) {
    return { ...record, document: document && referenceTo(document), checks: checksOf(record) }
  },
})

function referenceTo({ id, url, title, language }: Excerpt): Reference {
  return { id, url, title, language }
}
