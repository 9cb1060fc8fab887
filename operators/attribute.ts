import { z } from 'zod'
import type { Grounding } from '../schemas/records.ts'
import { type Composition, compose, groundingOptions, line, materialOf } from './composition.ts'
import type { Material, Operator } from './operator.ts'
import { ask } from './reply.ts'
import { situationReply } from './situate.ts'

/** What the model answers. The descriptions stand in the prompt's sample too: a reply that repeats one is no reply. */
export const attributionReply = z.object({
  domain: z.string().describe('One to three words.'),
  ...situationReply.shape,
  thought: z.string().describe('What makes it hard and what it must carry.'),
})

export type AttributeOptions = z.infer<typeof groundingOptions>

/** The instruction is cut before the document is: what is left of the prompt is the document's. */
function composeGrounding(
  { instruction, document }: Grounding,
  { options, ...material }: Material<AttributeOptions>,
): Composition {
  const shown = material.tokenizer.cut(instruction.text, options.maxInstructionTokens).text
  const values = { instruction: shown, title: line(document.title), url: line(document.url) }
  return compose({ document: document.text, tokens: document.tokens, values }, { ...material, options })
}

/** From an instruction that a person wrote, and a document for it, to a demonstration: the method read backwards. */
export const attribute: Operator<'grounding', 'demonstration', AttributeOptions> = {
  name: 'attribute',
  version: 1,
  from: 'grounding',
  to: 'demonstration',
  summary: 'works out the situation in which a person wrote an instruction, as a demonstration of the method',
  optional: 'apart',
  reasons: [],
  options: groundingOptions,
  prompt: { fields: ['document', 'instruction', 'title', 'url'] },

  async apply(record, context) {
    const { document: shown, messages } = composeGrounding(record, materialOf(context))
    const situation = await ask(context, messages, { name: 'attribution', schema: attributionReply })
    const { instruction, document, source } = record
    return [
      {
        ...situation,
        document: shown.text,
        instruction: instruction.text,
        instructionId: instruction.id,
        documentId: document.id,
        url: document.url,
        title: document.title,
        source,
      },
    ]
  },

  messages(record, material) {
    return composeGrounding(record, material).messages
  },
}
