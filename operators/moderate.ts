import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import type { Moderated, Moderation, Scored } from '../schemas/records.ts'
import {
  composeInstruction,
  guard,
  instructionOptions,
  leastDocumentTokens,
  materialOf,
  promptLimit,
  tokenLimit,
} from './composition.ts'
import type { ChatMessage, ModelKind } from './model.ts'
import { guardForm, type Judgement, judgementReply, moderationAnswer } from './moderate/answers.ts'
import { type HazardTable, hazards, tableIn } from './moderate/hazards.ts'
import { type Context, drop, type Material, type Operator } from './operator.ts'
import type { Prompt } from './prompt.ts'
import { ask, readReply } from './reply.ts'

/** In `dropFor`: every category, and harm of no named one. */
const any = 'any'

const optionsSchema = instructionOptions.extend({
  dropFor: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Categories for which an instruction is dropped as unsafe; any stands for whatever is flagged. Default: none, labels alone.',
    ),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('Score of a moderation model, 0 to 1, from which a category is flagged; default: as the model flags it.'),
  // What is not shown is not judged.
  maxInstructionTokens: tokenLimit
    .default(6000)
    .describe('Tokens of an instruction that are shown; it is cut at the end of a sentence.'),
})

export type ModerateOptions = z.output<typeof optionsSchema>

/**
 * Labels each instruction with the harm that an answer to it may do, by the judgement of a model.
 *
 * A chat model is asked by a prompt that holds a table of categories. A guard or a moderation model, which have theirs,
 * gets the instruction alone. The text alone is judged. The calls are told in the field `moderating`.
 */
export const moderate: Operator<'deduped', 'moderated', ModerateOptions> = {
  name: 'moderate',
  version: 1,
  from: 'deduped',
  to: 'moderated',
  optional: 'inserted',
  summary: 'Labels instructions with the harm that they may do, by the judgement of a model, and drops by category.',
  reasons: ['unsafe'],
  options: optionsSchema,
  prompt: { fields: ['instruction'] },
  provenanceField: 'moderating',

  async apply(record, context) {
    const { id: _id, input: _input, ...rest } = record
    const moderation = await judge(record.text, context)
    return isUnwanted(moderation, context) ? drop('unsafe', { detail: tell(moderation) }) : [{ ...rest, moderation }]
  },

  messages({ text }, material) {
    return composeInstruction(text, {}, material)
  },

  unprompted({ text }, material) {
    return alone(text, material)
  },

  check({ dropFor, threshold }, { prompt, kind }) {
    if (threshold !== undefined && kind !== 'moderation') {
      const rule = `a ${kind} model gives no scores`
      throw new SituError('CONFIGURATION_INVALID', `operators.moderate.threshold: ${threshold}: ${rule}`)
    }
    const table = tableOf(prompt, kind)
    if (table?.names.length === 0) {
      const rule = 'names no category, each a line such as "- `hate` (S10): …"'
      throw new SituError('PROMPT_INVALID', `prompt of moderate: ${rule}`)
    }
    if (table) checkCategories(dropFor, table.names, name => table.nameOf(name) !== undefined)
  },
}

/** What moderate found of an instruction that has passed it; nulls for another one. */
export function moderationOf(record: object): Pick<Scored, 'moderation' | 'moderating'> {
  const { moderation = null, moderating = null } = record as Partial<Moderated>
  return { moderation, moderating }
}

/** The categories that can be known before the model is asked; null where it has its own. */
function tableOf(prompt: Prompt | null, kind: ModelKind): HazardTable | null {
  if (prompt) return tableIn(prompt)
  return kind === 'guard' ? hazards : null
}

async function judge(text: string, context: Context<ModerateOptions>): Promise<Moderation> {
  const { model, options } = context
  const isPrompted = model.kind === 'chat'
  const messages = isPrompted ? composeInstruction(text, {}, materialOf(context)) : alone(text, context)
  const judged = await (isPrompted ? askByPrompt(messages, context) : askAlone(messages, context))
  const shown = isPrompted ? guard(text, context.prompt.main) : text
  return { ...byThreshold(judged, options.threshold), whole: messages.some(({ content }) => content.includes(shown)) }
}

function askByPrompt(messages: readonly ChatMessage[], context: Context<ModerateOptions>): Promise<Judgement> {
  const table = tableIn(context.prompt)
  return ask(context, messages, { name: 'moderation', schema: judgementReply(table), plain: guardForm(table) })
}

/** One call: a corrective turn would be judged as what the user says next. */
async function askAlone(
  messages: readonly ChatMessage[],
  { model, options }: Context<ModerateOptions>,
): Promise<Judgement> {
  const { text, finishReason } = await model.complete({ messages, replySchema: { name: 'moderation', schema: {} } })
  if (model.kind === 'guard') {
    const form = guardForm(hazards)
    const neither = { problem: 'it is neither "safe" nor "unsafe" with the codes of categories' }
    return readReply(text, finishReason, moderationAnswer, answer => form(answer) ?? neither)
  }
  const judged = readReply(text, finishReason, moderationAnswer)
  const names = judged.categories.map(({ category }) => category)
  checkCategories(options.dropFor, names, name => names.includes(name))
  return judged
}

/** @throws {SituError} MODEL_CONTEXT_EXCEEDED where hardly anything of the text fits. */
function alone(text: string, material: Omit<Material<ModerateOptions>, 'prompt' | 'demonstrations'>): ChatMessage[] {
  const limit = Math.max(0, Math.min(material.options.maxInstructionTokens, promptLimit(material)))
  const { text: content, cut } = material.tokenizer.cut(text, limit)
  if (cut && limit < leastDocumentTokens) {
    const rule = `${limit} tokens are left for the instruction, less than ${leastDocumentTokens}`
    throw new SituError('MODEL_CONTEXT_EXCEEDED', `moderate: of the model's context ${rule}`)
  }
  return [{ role: 'user', content }]
}

function byThreshold(judged: Judgement, threshold: number | undefined): Judgement {
  if (threshold === undefined) return judged
  const categories = judged.categories.map(({ score, ...hazard }) => {
    return score === null ? { ...hazard, score } : { ...hazard, score, flagged: score >= threshold }
  })
  return { ...judged, categories, flagged: categories.some(({ flagged }) => flagged) }
}

function isUnwanted({ flagged, categories }: Moderation, context: Context<ModerateOptions>): boolean {
  const { options, model } = context
  if (options.dropFor.includes(any)) return flagged
  const table = tableOf(model.kind === 'chat' ? context.prompt : null, model.kind)
  const names = options.dropFor.map(name => (table ? table.nameOf(name) : name))
  return categories.some(hazard => hazard.flagged && names.includes(hazard.category))
}

/** @throws {SituError} CONFIGURATION_INVALID: what no judge ever names would drop nothing, and nobody would know. */
function checkCategories(dropFor: readonly string[], names: readonly string[], isKnown: (name: string) => boolean) {
  const unknown = dropFor.find(name => name !== any && !isKnown(name))
  if (unknown === undefined) return
  const rule = `${unknown} is none of the judge's categories: ${names.join(', ')}, or any`
  throw new SituError('CONFIGURATION_INVALID', `operators.moderate.dropFor: ${rule}`)
}

/** Such as `hate 0.93, privacy: It asks for …`. */
function tell({ categories, reason }: Moderation): string {
  const flagged = categories.filter(hazard => hazard.flagged)
  const each = flagged.map(({ category, score }) => (score === null ? category : `${category} ${score.toFixed(2)}`))
  return [each.join(', ') || 'no category is named', ...(reason ? [reason] : [])].join(': ')
}
