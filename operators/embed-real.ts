import { z } from 'zod'
import { maxInstructionTokens } from './composition.ts'
import { bytesOf } from './embedder.ts'
import type { Operator } from './operator.ts'

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
    const most = Math.min(options.maxInstructionTokens, embedder.contextTokens ?? Number.POSITIVE_INFINITY)
    const { text } = tokenizer.cut(record.text.toWellFormed(), most)
    const [vector = new Float32Array()] = await embedder.embed([text], signal)
    const embedding = { embedder: embedder.name, dimensions: vector.length, vector: bytesOf(vector) }
    return [{ ...record, embedding, provenance: null }]
  },
}
