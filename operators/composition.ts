import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import { drawFor, drawOptions, drawRule, isDrawPossible } from './demonstrations/draw.ts'
import type { Demonstration } from './demonstrations.ts'
import type { ChatMessage } from './model.ts'
import type { Context, Material } from './operator.ts'
import type { Prompt } from './prompt.ts'
import type { Tokenizer } from './tokenizer.ts'

/** What a chat template puts around two messages, with some room to spare. */
const chatTokens = 16
/** What a part may cost more than counted alone, because it is encoded together with what stands around it. */
const seamTokens = 4
/** A document cut shorter than this says too little to work from. */
const leastDocumentTokens = 64
/** Titles and addresses come from the web, and some are long. */
const maxLineCharacters = 300

/** Options of every operator whose prompt shows a document with demonstrations. */
const promptFields = {
  demonstrations: z
    .int()
    .min(0)
    .max(100)
    .default(10)
    .describe('Demonstrations shown at most; fewer where not all fit.'),
  maxDocumentTokens: z
    .int()
    .min(leastDocumentTokens)
    .max(1_000_000)
    .default(4096)
    .describe('Tokens of a document that are shown; it is cut at the end of a sentence.'),
  maxDemonstrationDocumentTokens: z
    .int()
    .min(leastDocumentTokens)
    .max(1_000_000)
    .default(700)
    .describe("Tokens of each demonstration's document that are shown."),
  maxPromptTokens: z
    .int()
    .min(256)
    .max(1_000_000)
    .default(7500)
    .describe("Tokens of the whole prompt, at most the model's context less its reply."),
  ...drawOptions,
}

export const promptOptions = z.strictObject(promptFields).refine(isDrawPossible, drawRule)

/** Those of an operator that may make several outputs of one document. */
export const sampledOptions = z
  .strictObject({
    ...promptFields,
    situations: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .transform(count => (count === 1 ? undefined : count))
      .describe('Situations made of each document, each with a call and a draw of its own; default 1.'),
  })
  .refine(isDrawPossible, drawRule)

export type SampledOptions = z.infer<typeof sampledOptions>

export type PromptOptions = z.infer<typeof promptOptions>

/** What is asked about: a document, and the values of the prompt's other placeholders. */
export interface Subject {
  document: string
  /** Tokens of the document where an earlier stage has counted them, so that they need not be counted again. */
  tokens?: number
  values: Readonly<Record<string, string>>
}

export interface Composition {
  /** The document as shown. */
  document: { text: string; tokens: number }
  /** The demonstrations shown: a beginning of those given. */
  demonstrations: readonly Demonstration[]
  messages: ChatMessage[]
}

/** Draws demonstrations for the record and composes; tells the context which are shown. */
export async function composeFor(subject: Subject, context: Context<PromptOptions>): Promise<Composition> {
  const { prompt, options, tokenizer, model } = context
  const demonstrations = prompt.usesDemonstrations ? await drawFor(subject.document, context) : []
  const composition = compose(subject, { prompt, options, tokenizer, model, demonstrations })
  context.showed(composition.demonstrations.map(demonstration => demonstration.id))
  return composition
}

/**
 * Makes the messages within their limits: the document first, then as many demonstrations as fit.
 *
 * Adding ends at the first demonstration that does not fit. To skip it and go on would favour short ones, so that long
 * documents would always see the same few. What was shown, given again, is shown again.
 *
 * @throws {SituError} MODEL_CONTEXT_EXCEEDED where hardly a document fits beside the prompt's own text.
 */
export function compose(subject: Subject, material: Material<PromptOptions>): Composition {
  const { prompt, options, tokenizer } = material
  const size = sizeOf(material)
  const limit = promptLimit(material)
  const rest = limit - size.around(subject.values) - chatTokens
  const room = Math.min(options.maxDocumentTokens, rest - seamTokens)
  const { text, tokens, cut } = shorten(subject, Math.max(0, room), tokenizer)
  if (room < 0 || (cut && room < leastDocumentTokens)) {
    throw new SituError(
      'MODEL_CONTEXT_EXCEEDED',
      `prompt of ${prompt.operator}: of ${limit} tokens its own text and values leave ${Math.max(0, room)} for the ` +
        `document, less than ${leastDocumentTokens}`,
    )
  }
  const shown: Demonstration[] = []
  const guarded: Demonstration[] = []
  let left = rest - seamTokens - tokens
  for (const demonstration of prompt.usesDemonstrations ? material.demonstrations : []) {
    const measured = size.of(demonstration)
    left -= measured.tokens
    if (left < 0) break
    shown.push(demonstration)
    guarded.push(measured.demonstration)
  }
  const messages = prompt.fill({ ...subject.values, [prompt.main]: text }, guarded)
  return { document: { text, tokens }, demonstrations: shown, messages }
}

/** One line of a value that may be missing, long or broken into lines. */
export function line(value: string | null): string {
  return value === null ? '' : value.slice(0, maxLineCharacters).toWellFormed().replace(/\s+/g, ' ').trim()
}

function promptLimit({ options, model }: Material<PromptOptions>): number {
  return model ? Math.min(options.maxPromptTokens, model.contextTokens - model.replyTokens) : options.maxPromptTokens
}

function shorten(
  { document, tokens }: Subject,
  maxTokens: number,
  tokenizer: Tokenizer,
): { text: string; tokens: number; cut: boolean } {
  const text = guard(document)
  if (tokens !== undefined && tokens <= maxTokens && text === document) return { text, tokens, cut: false }
  return tokenizer.cut(text, maxTokens)
}

/** A line of the text that is a marker of the prompt's gets a space, so that it can't end the document. */
function guard(text: string): string {
  return text.replace(/^([ \t]*<\/?document)(>[ \t]*)$/gim, '$1 $2')
}

/** Tokens of a prompt's parts. What comes back from record to record is counted once. */
class PromptSize {
  readonly #prompt: Prompt
  readonly #tokenizer: Tokenizer
  readonly #maxDocumentTokens: number
  readonly #demonstrations = new WeakMap<Demonstration, { demonstration: Demonstration; tokens: number }>()
  #system = { text: '', tokens: 0 }

  constructor({ prompt, tokenizer, options }: Material<PromptOptions>) {
    this.#prompt = prompt
    this.#tokenizer = tokenizer
    this.#maxDocumentTokens = options.maxDemonstrationDocumentTokens
  }

  fits({ tokenizer, options }: Material<PromptOptions>): boolean {
    return tokenizer === this.#tokenizer && options.maxDemonstrationDocumentTokens === this.#maxDocumentTokens
  }

  /** Tokens of the messages but for document and demonstrations. */
  around(values: Readonly<Record<string, string>>): number {
    const [system, ...others] = this.#prompt.fill({ ...values, [this.#prompt.main]: '' })
    const text = system?.content ?? ''
    if (text !== this.#system.text) this.#system = { text, tokens: this.#tokenizer.count(text) }
    return others.reduce((sum, { content }) => sum + this.#tokenizer.count(content), this.#system.tokens)
  }

  of(demonstration: Demonstration): { demonstration: Demonstration; tokens: number } {
    const known = this.#demonstrations.get(demonstration)
    if (known) return known
    const { text } = this.#tokenizer.cut(guard(demonstration.document), this.#maxDocumentTokens)
    const guarded = { ...demonstration, document: text }
    const tokens = this.#tokenizer.count(this.#prompt.demonstrate(guarded, 100)) + seamTokens
    const measured = { demonstration: guarded, tokens }
    this.#demonstrations.set(demonstration, measured)
    return measured
  }
}

const sizes = new WeakMap<Prompt, PromptSize>()

function sizeOf(material: Material<PromptOptions>): PromptSize {
  const known = sizes.get(material.prompt)
  if (known?.fits(material)) return known
  const size = new PromptSize(material)
  sizes.set(material.prompt, size)
  return size
}
