import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import { drawFor, drawOptions, drawRule, isDrawPossible } from './demonstrations/draw.ts'
import type { Demonstration } from './demonstrations.ts'
import type { ChatMessage } from './model.ts'
import type { Context, Material } from './operator.ts'
import type { Prompt } from './prompt.ts'
import type { Tokenizer } from './tokenizer.ts'

/** What a chat template puts around two messages, with some room to spare. */
export const chatTokens = 16
/** What a part may cost more than counted alone, because it is encoded together with what stands around it. */
export const seamTokens = 4
/** A document cut shorter than this says too little to work from. */
export const leastDocumentTokens = 64
/** Titles and addresses come from the web, and some are long. */
const maxLineCharacters = 300

export const tokenLimit = z.int().min(leastDocumentTokens).max(1_000_000)
const maxDocumentTokens = tokenLimit
  .default(4096)
  .describe('Tokens of a document that are shown; it is cut at the end of a sentence.')
export const maxInstructionTokens = tokenLimit
  .default(1500)
  .describe('Tokens of an instruction that are shown; it is cut at the end of a sentence.')
export const maxPromptTokens = z
  .int()
  .min(256)
  .max(1_000_000)
  .default(7500)
  .describe("Tokens of the whole prompt, at most the model's context less its reply.")

/** Options of every operator whose prompt shows a document with demonstrations. */
const promptFields = {
  demonstrations: z
    .int()
    .min(0)
    .max(100)
    .default(10)
    .describe('Demonstrations shown at most; fewer where not all fit.'),
  maxDocumentTokens,
  maxDemonstrationDocumentTokens: tokenLimit
    .default(700)
    .describe("Tokens of each demonstration's document that are shown."),
  maxPromptTokens,
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

/** Options of an operator whose prompt shows an instruction alone. */
export const instructionOptions = z.strictObject({ maxInstructionTokens, maxPromptTokens })

export type InstructionOptions = z.infer<typeof instructionOptions>

/** Options of an operator whose prompt shows an instruction with a document. */
export const groundingOptions = z.strictObject({ maxDocumentTokens, maxInstructionTokens, maxPromptTokens })

/** What the messages are made within; without demonstrations the option for theirs is left out. */
type Limits = Pick<PromptOptions, 'maxDocumentTokens' | 'maxPromptTokens'> & Partial<PromptOptions>

/** What is asked about: the main text of the prompt, mostly a document, and the values of its other placeholders. */
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
export function compose(subject: Subject, material: Material<Limits>): Composition {
  const { prompt, options, tokenizer } = material
  const size = sizeOf(material)
  const limit = promptLimit(material)
  const rest = limit - size.around(subject.values) - chatTokens
  const room = Math.min(options.maxDocumentTokens, rest - seamTokens)
  const { text, tokens, cut } = shorten(subject, prompt.main, Math.max(0, room), tokenizer)
  if (room < 0 || (cut && room < leastDocumentTokens)) {
    throw new SituError(
      'MODEL_CONTEXT_EXCEEDED',
      `prompt of ${prompt.operator}: of ${limit} tokens its own text and values leave ${Math.max(0, room)} for the ` +
        `${prompt.main}, less than ${leastDocumentTokens}`,
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

/**
 * Makes the messages of a prompt whose main text is an instruction.
 *
 * @throws {SituError} As `compose`.
 */
export function composeInstruction(
  instruction: string,
  values: Subject['values'],
  { options, ...material }: Material<InstructionOptions>,
): ChatMessage[] {
  const { maxInstructionTokens, maxPromptTokens } = options
  const limits = { maxDocumentTokens: maxInstructionTokens, maxPromptTokens }
  return compose({ document: instruction, values }, { ...material, options: limits }).messages
}

/** The material of a prompt without demonstrations. */
export function materialOf<Options>({ prompt, options, tokenizer, model }: Context<Options>): Material<Options> {
  return { prompt, options, tokenizer, model, demonstrations: [] }
}

/** One line of a value that may be missing, long or broken into lines. */
export function line(value: string | null): string {
  return value === null ? '' : value.slice(0, maxLineCharacters).toWellFormed().replace(/\s+/g, ' ').trim()
}

/** Tokens that the messages may have. */
export function promptLimit({
  options,
  model,
}: Pick<Material<Pick<PromptOptions, 'maxPromptTokens'>>, 'options' | 'model'>): number {
  return model ? Math.min(options.maxPromptTokens, model.contextTokens - model.replyTokens) : options.maxPromptTokens
}

function shorten(
  { document, tokens }: Subject,
  marker: string,
  maxTokens: number,
  tokenizer: Tokenizer,
): { text: string; tokens: number; cut: boolean } {
  const text = guard(document, marker)
  if (tokens !== undefined && tokens <= maxTokens && text === document) return { text, tokens, cut: false }
  return tokenizer.cut(text, maxTokens)
}

/** A line of the text that is a marker of the prompt's gets a space, so that it can't end what the marker begins. */
export function guard(text: string, marker: string): string {
  return text.replace(new RegExp(`^([ \\t]*</?${marker})(>[ \\t]*)$`, 'gim'), '$1 $2')
}

/** Tokens of a prompt's parts. What comes back from record to record is counted once. */
class PromptSize {
  readonly #prompt: Prompt
  readonly #tokenizer: Tokenizer
  readonly #maxDocumentTokens: number | undefined
  readonly #demonstrations = new WeakMap<Demonstration, { demonstration: Demonstration; tokens: number }>()
  #system = { text: '', tokens: 0 }

  constructor({ prompt, tokenizer, options }: Material<Limits>) {
    this.#prompt = prompt
    this.#tokenizer = tokenizer
    this.#maxDocumentTokens = options.maxDemonstrationDocumentTokens
  }

  fits({ tokenizer, options }: Material<Limits>): boolean {
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
    const { text } = this.#tokenizer.cut(guard(demonstration.document, 'document'), this.#maxDocumentTokens ?? 0)
    const guarded = { ...demonstration, document: text }
    const tokens = this.#tokenizer.count(this.#prompt.demonstrate(guarded, 100)) + seamTokens
    const measured = { demonstration: guarded, tokens }
    this.#demonstrations.set(demonstration, measured)
    return measured
  }
}

const sizes = new WeakMap<Prompt, PromptSize>()

function sizeOf(material: Material<Limits>): PromptSize {
  const known = sizes.get(material.prompt)
  if (known?.fits(material)) return known
  const size = new PromptSize(material)
  sizes.set(material.prompt, size)
  return size
}
