import { z } from 'zod'
import { maxInstructionTokens } from './composition.ts'
import { bytesOf } from './embedder.ts'
import type { Operator } from './operator.ts'
import type { Tokenizer } from './tokenizer.ts'

const options = z.strictObject({ maxInstructionTokens })

/**
 * The meaning of people's instructions as vectors, for `dedupe-meaning`. Apart from it, because an endpoint may take a
 * second to answer, and many of these are worked at once while a stage with state works one record after the other.
 */
export const embedReal: Operator<'distinct', 'embedded', z.output<typeof options>> = {
  name: 'embed-real',
  version: 1,
  from: 'distinct',
  to: 'embedded',
  summary: "Puts the meaning of people's instructions down as vectors.",
  optional: 'inserted',
  reasons: [],
  options,
  embedder: true,
  embeds: true,
  async apply({ id: _id, input: _input, ...record }, { options, embedder, tokenizer, signal }) {
    const text = cut(record.text, { options, tokenizer, model: embedder })
    const [vector = new Float32Array()] = await embedder.embed([text], signal)
    const embedding = { embedder: embedder.name, dimensions: vector.length, vector: bytesOf(vector) }
    return [{ ...record, embedding, provenance: null }]
  },
  unprompted({ text }, material) {
    return [{ role: 'user', content: cut(text, material) }]
  },
}

interface Limits {
  options: z.output<typeof options>
  tokenizer: Tokenizer
  model?: { contextTokens: number | null }
}

function cut(text: string, { options, tokenizer, model }: Limits): string {
  const most = Math.min(options.maxInstructionTokens, model?.contextTokens ?? Number.POSITIVE_INFINITY)
  return tokenizer.cut(text.toWellFormed(), most).text
}
