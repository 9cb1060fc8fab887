import { readVariants } from './chain/variants.ts'
import type { Config } from './config/config.ts'
import { readTasks } from './inspect/status.ts'
import type { Pipeline } from './pipeline.ts'

const msPerDay = 86_400_000

/**
 * Deletes old records as configured: only those that every operator which reads the topic has worked, and none of a
 * topic that no operator reads.
 *
 * @returns How many it deleted; 0 where nothing is configured.
 */
export async function applyRetention(pipeline: Pipeline, { settings }: Config): Promise<number> {
  const { retentionDays, retentionBytes } = settings
  if (!pipeline.applyRetention || (retentionDays === undefined && retentionBytes === undefined)) return 0
  const worked = await readTasks(pipeline, await pipeline.transport.survey('task'))
  const { placed } = await readVariants(pipeline)
  const floor = (topic: string, partition: number) => {
    const readers = placed.filter(({ stage }) => stage.input === topic || stage.routed === topic)
    const positions = readers.map(({ stage: { name, variant, input, ...range } }) => {
      const { from, until } = input === topic ? range : {}
      const own = worked.find(task => task.stage === name && task.variant === variant && task.partition === partition)
      const next = own?.positions.find(position => position.topic === topic)?.next ?? from?.[partition] ?? 0
      return next >= (until?.[partition] ?? Number.POSITIVE_INFINITY) ? Number.POSITIVE_INFINITY : next
    })
    return positions.length === 0 ? 0 : Math.min(...positions)
  }
  return pipeline.applyRetention({
    floor,
    ...(retentionDays !== undefined && { maxAgeMs: retentionDays * msPerDay }),
    ...(retentionBytes !== undefined && { maxBytesPerTopic: retentionBytes }),
  })
}
