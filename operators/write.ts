import { z } from 'zod'
import type { Document } from '../schemas/records.ts'
import { compose, composeFor, type SampledOptions, sampledOptions } from './composition.ts'
import { drawsByMeaning } from './demonstrations/draw.ts'
import { canonicalJson, hash } from './hash.ts'
import { instructionReply } from './instruct.ts'
import type { Context, Draft, Operator } from './operator.ts'
import { ask } from './reply.ts'
import { situationReply, subjectOf } from './situate.ts'

/** What the model answers where it settles the situation in the same call. */
export const writtenReply = z.object({ ...situationReply.shape, ...instructionReply.shape })

/** What operators from document to instruction have in common. */
const common = {
  version: 1,
  from: 'document',
  to: 'instruction',
  optional: 'apart',
  insteadOf: ['situate', 'instruct'],
  reasons: [],
  options: sampledOptions,
  prompt: { fields: ['document', 'title', 'url', 'language', 'demonstrations'] },
  demonstrations: true,
  embedder: drawsByMeaning,
} as const

/** Situation and instruction in one call: half the calls, and what the paper's released code does. */
export const write: Operator<'document', 'instruction', SampledOptions> = {
  ...common,
  name: 'write',
  summary: 'situate and instruct in one call',

  apply(record, context) {
    return writeSamples(record, context, { name: 'written', schema: writtenReply }, written => {
      const { thought, instruction, ...scene } = written
      return { thought, instruction, situation: { id: hash('scene', canonicalJson(scene)), ...scene } }
    })
  },

  messages(record, material) {
    return compose(subjectOf(record), material).messages
  },
}

/** The instruction from the document alone, to see what the situation is worth. */
export const writePlain: Operator<'document', 'instruction', SampledOptions> = {
  ...common,
  name: 'write-plain',
  summary: 'writes the instruction from the document alone, without a situation',

  apply(record, context) {
    const reply = { name: 'instruction', schema: instructionReply }
    return writeSamples(record, context, reply, written => ({ ...written, situation: null }))
  },

  messages(record, material) {
    return compose(subjectOf(record), material).messages
  },
}

function writeSamples<T>(
  record: Document,
  context: Context<SampledOptions>,
  reply: { name: string; schema: z.ZodType<T> },
  read: (reply: T) => { thought: string; instruction: string; situation: Draft<'instruction'>['situation'] },
): Promise<Draft<'instruction'>[]> {
  return context.samples(context.options.situations ?? 1, async own => {
    const { document, messages } = await composeFor(subjectOf(record), own)
    const { thought, instruction, situation } = read(await ask(own, messages, reply))
    const { id, url, title, language } = record
    const shown = { id, url, title, language, ...document }
    return { text: instruction, thought, language: null, source: null, document: shown, situation }
  })
}
