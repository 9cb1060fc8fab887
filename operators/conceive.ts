import { z } from 'zod'
import { composeInstruction, type InstructionOptions, instructionOptions, materialOf } from './composition.ts'
import type { Operator } from './operator.ts'
import { ask } from './reply.ts'

const mostKeywords = 5

/** What the model answers; of more keywords the first five count, since the most telling ones come first. */
export const conceptReply = z.object({
  intention: z.string().describe('What the person is after.'),
  keywords: z
    .array(z.string())
    .transform(tidy)
    .refine(keywords => keywords.length > 0, 'holds no word to look for')
    .describe('At most five concepts or entities, the most telling first.'),
})

/** The sample of the prompt, which is no answer. */
const sampleKeywords = ['first concept', 'second concept']

/** Each once, whatever its case, without what holds no letter or digit. */
function tidy(keywords: readonly string[]): string[] {
  const found = new Map<string, string>()
  for (const keyword of keywords) {
    const words = keyword.replace(/\s+/g, ' ').trim()
    const key = words.toLowerCase()
    if (/[\p{L}\p{N}]/u.test(words) && !sampleKeywords.includes(key) && !found.has(key)) found.set(key, words)
  }
  return [...found.values()].slice(0, mostKeywords)
}

export const conceive: Operator<'distinct', 'concept', InstructionOptions> = {
  name: 'conceive',
  version: 1,
  from: 'distinct',
  to: 'concept',
  summary: 'finds what an instruction is about, as words by which a document for it can be found',
  optional: 'apart',
  reasons: [],
  options: instructionOptions,
  prompt: { fields: ['instruction'] },

  async apply({ id, text, language, document, source }, context) {
    const messages = composeInstruction(text, {}, materialOf(context))
    const concept = await ask(context, messages, { name: 'concept', schema: conceptReply })
    return [{ instruction: { id, text, language }, document, ...concept, source }]
  },

  messages({ text }, material) {
    return composeInstruction(text, {}, material)
  },
}
