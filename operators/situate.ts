import { z } from 'zod'
import type { Document } from '../schemas/records.ts'
import { compose, composeFor, line, type SampledOptions, type Subject, sampledOptions } from './composition.ts'
import { drawsByMeaning } from './demonstrations/draw.ts'
import type { Operator } from './operator.ts'
import { ask } from './reply.ts'

/** What the model answers. The descriptions stand in the prompt's sample too: a reply that repeats one is no reply. */
export const situationReply = z.object({
  user: z.string().describe('Who the person is.'),
  motivation: z.string().describe('Why now.'),
  scene: z.string().describe('One paragraph.'),
  ability: z.string().describe('What to be able to do.'),
  knowledge: z.string().describe('What to know.'),
  extraInformation: z.string().describe('What the person supplies.'),
  output: z.string().describe('What the person wants back.'),
})

/** What a prompt tells of a document. */
export function subjectOf({ text, title, url, language }: Document): Subject {
  return { document: text, values: { title: line(title), url: line(url), language: line(language) } }
}

export const situate: Operator<'document', 'situation', SampledOptions> = {
  name: 'situate',
  version: 1,
  from: 'document',
  to: 'situation',
  summary: 'imagines a person for whom the document matters, and what that person wants of an assistant',
  reasons: [],
  options: sampledOptions,
  prompt: { fields: ['document', 'title', 'url', 'language', 'demonstrations'] },
  demonstrations: true,
  embedder: drawsByMeaning,

  apply(record, context) {
    return context.samples(context.options.situations ?? 1, async own => {
      const { document, messages } = await composeFor(subjectOf(record), own)
      const situation = await ask(own, messages, { name: 'situation', schema: situationReply })
      const { id, url, title, language } = record
      return { document: { id, url, title, language, ...document }, ...situation }
    })
  },

  messages(record, material) {
    return compose(subjectOf(record), material).messages
  },
}
