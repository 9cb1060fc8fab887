import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import type { Embedding } from '../schemas/records.ts'
import { VectorIndex } from './dedup/vector-index.ts'
import { vectorOf } from './embedder.ts'
import { drop, type Operator } from './operator.ts'

const options = z.strictObject({
  threshold: z
    .number()
    .min(0.5)
    .max(1)
    .default(0.85)
    .describe('Cosine of the vectors, 0.5 to 1, from which an instruction is a near-duplicate of an earlier one.'),
})

/**
 * Keeps the first of people's instructions that mean the same, by the vectors of `embed-real`: with a state as that of
 * the other dedupe stages. No hash of a vector tells which others are near, so all records go to one task.
 */
export const dedupeMeaning: Operator<'embedded', 'unique', z.output<typeof options>, Float32Array> = {
  name: 'dedupe-meaning',
  version: 1,
  from: 'embedded',
  to: 'unique',
  summary: "Drops people's instructions that mean the same as earlier ones.",
  optional: 'inserted',
  reasons: ['near_duplicate'],
  options,
  embedder: true,
  createIndex: ({ threshold }, { embedder }) => new VectorIndex({ threshold, embedder }),
  route: () => 0,
  apply({ id: _id, input: _input, provenance: _provenance, embedding, ...record }, { id, index, embedder }) {
    const twin = index.insert(id, readVector(embedding, embedder.name))
    return twin ? drop('near_duplicate', { twin: twin.id, similarity: twin.similarity }) : [record]
  },
}

/** @throws {SituError} RECORD_INVALID for a vector that can't be compared with those of the embedder. */
function readVector({ embedder, dimensions, vector }: Embedding, wanted: string): Float32Array {
  const read = vectorOf(vector)
  const problem =
    embedder !== wanted
      ? `the vector was made by "${embedder}", and this stage compares those of "${wanted}"`
      : read.length !== dimensions
        ? `${dimensions} dimensions in ${vector.length} bytes`
        : null
  if (problem) throw new SituError('RECORD_INVALID', `dedupe-meaning: ${problem}`)
  return read
}
