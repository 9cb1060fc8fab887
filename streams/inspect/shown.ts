import type { Noun } from '../../schemas/records.ts'
import { ownProvenance, type Stage } from '../chain/topology.ts'
import type { Pipeline } from '../pipeline.ts'

/** How many demonstrations fitted into the prompts of a stage. */
export interface ShownCounts {
  /** Outputs that were counted. */
  records: number
  /** Null where there is none. */
  median: number | null
  /** Outputs by the number of demonstrations shown. */
  histogram: Record<string, number>
}

/** Reads all outputs of a stage. */
export async function countShown({ transport, serde, partitions }: Pipeline, stage: Stage): Promise<ShownCounts> {
  const { output, operator, name } = stage
  const counts = new Map<number, number>()
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(output, partition, 0)) {
      for (const { value } of messages) {
        const record = await serde.decodeOwn<Noun>(operator.to, value)
        const provenance = record && ownProvenance(operator, record)
        if (provenance?.operator !== name) continue
        const { length } = provenance.demonstrations
        counts.set(length, (counts.get(length) ?? 0) + 1)
      }
    }
  }
  const sorted = [...counts].sort(([left], [right]) => left - right)
  const records = sorted.reduce((sum, [, count]) => sum + count, 0)
  return { records, median: medianOf(sorted, records), histogram: Object.fromEntries(sorted) }
}

/** The middle one, or the lower of the two in the middle. */
function medianOf(sorted: readonly (readonly [number, number])[], records: number): number | null {
  let seen = 0
  for (const [number, count] of sorted) {
    seen += count
    if (2 * seen >= records) return number
  }
  return null
}
