import { builtInSnapshot } from '../../operators/demonstrations.ts'
import type { Provenance, Records } from '../../schemas/records.ts'
import { partitionOf } from '../../streams/chain/topology.ts'
import type { Pipeline } from '../../streams/pipeline.ts'

const { demonstrations } = builtInSnapshot()

const provenance: Provenance = {
  operator: 'attribute',
  version: 1,
  configuration: '',
  prompt: null,
  messages: null,
  model: 'a-model',
  endpoint: 'an-endpoint',
  parameters: '{}',
  snapshot: null,
  demonstrations: [],
  seed: '',
  sample: 0,
  attempts: [],
  usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
  costUsd: null,
  latencyMs: 0,
  time: 0,
  input: { id: null, topic: 'grounding', partition: 0, offset: 0 },
  lost: [],
}

/** A demonstration as one made here: its number makes it another one. */
export function madeDemonstration(
  number: number,
  more: Partial<Records['demonstration']> = {},
): Records['demonstration'] {
  const like = demonstrations[number % demonstrations.length]
  if (!like) throw new Error('there are no built-in demonstrations')
  return {
    ...like,
    id: `demonstration-${number}`,
    scene: `${like.scene} Number ${number}.`,
    instructionId: `instruction-${number}`,
    documentId: `document-${number}`,
    url: null,
    title: null,
    source: null,
    provenance,
    ...more,
  }
}

/** Writes demonstrations to their topic, as an operator would. */
export async function writeDemonstrations(
  { transport, serde, partitions }: Pipeline,
  records: readonly Records['demonstration'][],
): Promise<void> {
  await transport.createTopics([{ name: 'demonstration', partitions, compacted: false }])
  await transport.produce(
    records.map(record => {
      const partition = partitionOf('demonstration', record, partitions)
      return { topic: 'demonstration', partition, key: record.id, ...serde.encode('demonstration', record) }
    }),
  )
}
