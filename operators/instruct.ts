import { z } from 'zod'
import type { Situation } from '../schemas/records.ts'
import { compose, composeFor, line, type PromptOptions, promptOptions, type Subject } from './composition.ts'
import { drawsByMeaning } from './demonstrations/draw.ts'
import type { Operator } from './operator.ts'
import { ask } from './reply.ts'

/** What the model answers. The descriptions stand in the prompt's sample too: a reply that repeats one is no reply. */
export const instructionReply = z.object({
  thought: z.string().describe('What makes it hard and what it must carry.'),
  instruction: z.string().describe('The message.'),
})

function sceneOf(record: Situation) {
  const { user, motivation, scene, ability, knowledge, extraInformation, output } = record
  return { user, motivation, scene, ability, knowledge, extraInformation, output }
}

function subjectOf(record: Situation): Subject {
  const { text, tokens, title, language } = record.document
  return { document: text, tokens, values: { title: line(title), language: line(language), ...sceneOf(record) } }
}

export const instruct: Operator<'situation', 'instruction', PromptOptions> = {
  name: 'instruct',
  version: 1,
  from: 'situation',
  to: 'instruction',
  summary: 'writes the instruction that the person of the situation gives an assistant',
  reasons: [],
  options: promptOptions,
  prompt: {
    fields: [
      'document',
      'title',
      'language',
      'user',
      'motivation',
      'scene',
      'ability',
      'knowledge',
      'extraInformation',
      'output',
      'demonstrations',
    ],
  },
  demonstrations: true,
  embedder: drawsByMeaning,

  async apply(record, context) {
    const { document, messages } = await composeFor(subjectOf(record), context)
    const { thought, instruction } = await ask(context, messages, { name: 'instruction', schema: instructionReply })
    return [
      {
        text: instruction,
        thought,
        language: null,
        source: null,
        document: { ...record.document, ...document },
        situation: { id: record.id, ...sceneOf(record) },
      },
    ]
  },

  messages(record, material) {
    return compose(subjectOf(record), material).messages
  },
}
