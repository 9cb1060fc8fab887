import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import type { Concept, Excerpt } from '../schemas/records.ts'
import {
  chatTokens,
  guard,
  leastDocumentTokens,
  line,
  maxInstructionTokens,
  maxPromptTokens,
  promptLimit,
  seamTokens,
  tokenLimit,
} from './composition.ts'
import type { ChatMessage } from './model.ts'
import { type Context, drop, type Material, type Operator } from './operator.ts'
import { ask } from './reply.ts'
import type { FoundDocument } from './search.ts'

const optionsSchema = z.strictObject({
  candidates: z.int().min(1).max(10).default(3).describe('Documents that are found and judged at most.'),
  minimumRelevance: z
    .number()
    .min(0)
    .max(1)
    .default(0.45)
    .describe('Share of the keywords that a document must be about, rare words weighing more; below it none is taken.'),
  judge: z
    .boolean()
    .default(true)
    .describe('Ask a model which of the documents serves the instruction; otherwise the first one is taken.'),
  maxDocumentTokens: tokenLimit
    .default(4096)
    .describe('Tokens that are kept of the document; it is cut at the end of a sentence.'),
  maxCandidateTokens: tokenLimit.default(1000).describe('Tokens of each document that the model is shown.'),
  maxInstructionTokens,
  maxPromptTokens,
})

export type RetrieveOptions = z.output<typeof optionsSchema>

/**
 * What the model answers about so many documents. The descriptions stand in the prompt's sample too: a reply that repeats
 * one is no reply.
 */
export function choiceReply(count: number) {
  return z.object({
    thought: z.string().describe('What the instruction needs, and which document has it.'),
    document: z.int().min(0).max(count).describe('Number of the document, 0 for none.'),
  })
}

const choiceReplies = new Map<number, ReturnType<typeof choiceReply>>()

/**
 * Finds the document that an instruction may have been asked about.
 *
 * An instruction that brought its document along needs no search. What is found depends on what is there at that time,
 * so the record keeps the document itself; provenance names all that were shown.
 */
export const retrieve: Operator<'concept', 'grounding', RetrieveOptions> = {
  name: 'retrieve',
  version: 1,
  from: 'concept',
  to: 'grounding',
  summary: 'finds the document that an instruction may have been asked about',
  optional: 'apart',
  reasons: ['no_relevant_document'],
  options: optionsSchema,
  prompt: { fields: ['documents', 'instruction', 'intention', 'keywords'] },
  asksModel: ({ judge }) => judge,
  search: true,

  async apply(record, context) {
    if (record.document) return [groundingOf(record, record.document, null)]
    const { options, search, signal } = context
    const found = await search.find(record.keywords, { limit: options.candidates, signal })
    const candidates = found.filter(({ relevance }) => relevance >= options.minimumRelevance)
    if (candidates.length === 0) return drop('no_relevant_document', { detail: nearest(found, options) })
    const chosen = options.judge ? await judge(record, candidates, context) : candidates[0]
    if (!chosen) return drop('no_relevant_document', { detail: `the model took none of ${names(candidates)}` })
    const { id, url, title, language, relevance } = chosen
    const { text, tokens } = context.tokenizer.cut(chosen.text, options.maxDocumentTokens)
    return [groundingOf(record, { id, url, title, language, text, tokens }, relevance)]
  },

  messages(record, material) {
    return compose(record, material.found ?? [], material)
  },
}

function groundingOf(
  { instruction, intention, keywords, source }: Concept,
  document: Excerpt,
  relevance: number | null,
) {
  return { instruction, document, intention, keywords, relevance, source, provenance: null }
}

function nearest([first]: readonly FoundDocument[], { minimumRelevance }: RetrieveOptions): string {
  if (!first) return 'nothing was found'
  return `the nearest, ${names([first])}, is below ${minimumRelevance}`
}

function names(documents: readonly FoundDocument[]): string {
  return documents.map(({ id, relevance }) => `${id} (${relevance.toFixed(3)})`).join(', ')
}

/** The document that the model takes; undefined for none. */
async function judge(
  record: Concept,
  candidates: readonly FoundDocument[],
  context: Context<RetrieveOptions>,
): Promise<FoundDocument | undefined> {
  const messages = compose(record, candidates, context)
  context.showed(candidates.map(({ id }) => id))
  const schema = choiceReplies.get(candidates.length) ?? choiceReply(candidates.length)
  choiceReplies.set(candidates.length, schema)
  const { document } = await ask(context, messages, { name: 'choice', schema })
  return candidates[document - 1]
}

type Composed = Pick<Material<RetrieveOptions>, 'prompt' | 'options' | 'tokenizer' | 'model'>

/**
 * The messages with all documents, each cut to an equal share of what fits.
 *
 * @throws {SituError} MODEL_CONTEXT_EXCEEDED where hardly anything of each fits.
 */
function compose(record: Concept, found: readonly FoundDocument[], material: Composed): ChatMessage[] {
  const { prompt, options, tokenizer } = material
  const values = {
    instruction: tokenizer.cut(guard(record.instruction.text, 'instruction'), options.maxInstructionTokens).text,
    intention: line(record.intention),
    keywords: record.keywords.map(line).join('; '),
  }
  const frames = found.map((document, index) => frame(document, index + 1, ''))
  const around = prompt.fill({ ...values, documents: frames.join('\n\n') })
  const limit = promptLimit(material)
  const taken = around.reduce((sum, { content }) => sum + tokenizer.count(content), chatTokens)
  const share = Math.floor((limit - taken) / Math.max(1, found.length)) - seamTokens
  const room = Math.min(options.maxCandidateTokens, share)
  if (room < leastDocumentTokens) {
    const rule = `of ${limit} tokens its own text and values leave ${Math.max(0, room)} for each document`
    throw new SituError(
      'MODEL_CONTEXT_EXCEEDED',
      `prompt of ${prompt.operator}: ${rule}, less than ${leastDocumentTokens}`,
    )
  }
  const shown = found.map((document, index) => {
    const { text } = tokenizer.cut(guard(document.text, 'document'), room)
    return frame(document, index + 1, text)
  })
  return prompt.fill({ ...values, documents: shown.join('\n\n') })
}

function frame({ title, url }: FoundDocument, number: number, text: string): string {
  const head = `Document ${number}: ${line(title)} ${line(url)}`.trimEnd()
  return `${head}\n<document>\n${text}\n</document>`
}
