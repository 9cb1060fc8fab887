import { describe, expect, it } from 'vitest'
import type { Task } from '../../schemas/records.ts'
import { readConfig } from '../../streams/config/config.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { applyRetention } from '../../streams/retention.ts'
import { emptyCounters } from '../../streams/task/task-record.ts'
import type { RetentionOptions } from '../../streams/transports/embedded/retention.ts'
import { memoryPipeline } from '../support/pipeline.ts'

/** What the backend is asked for; null where it is not asked. */
async function asked(pipeline: Pipeline, file: Record<string, string>): Promise<RetentionOptions | null> {
  let options: RetentionOptions | null = null
  const backend: Pipeline = {
    ...pipeline,
    applyRetention: async given => {
      options = given
      return 7
    },
  }
  const { config } = readConfig({}, file)
  expect(await applyRetention(backend, config)).toBe(Object.keys(file).length > 0 ? 7 : 0)
  return options
}

/** A task that has worked its input up to an offset. */
async function work({ transport, serde }: Pipeline, stage: string, partition: number, topic: string, next: number) {
  const task: Task = {
    id: `main-${stage}-${partition}`,
    stage,
    variant: 'main',
    work: null,
    partition,
    epoch: 1,
    configuration: null,
    positions: [
      { topic, next, finished: [2, 5], topicId: null },
      { topic: 'retry', next: 40, finished: [], topicId: null },
    ],
    counters: emptyCounters(),
    time: 0,
  }
  await transport.produce([{ topic: 'task', partition, key: task.id, value: serde.encode('task', task).value }])
}

describe('applyRetention', () => {
  it('asks for nothing where nothing is configured', async () => {
    expect(await asked(await memoryPipeline(), {})).toBeNull()
  })

  it('does nothing on a backend that deletes by itself', async () => {
    const { config } = readConfig({}, { SITU_RETENTION_DAYS: '1' })
    expect(await applyRetention(await memoryPipeline(), config)).toBe(0)
  })

  it('gives age and size as they are configured', async () => {
    const pipeline = await memoryPipeline()
    expect(await asked(pipeline, { SITU_RETENTION_DAYS: '1.5' })).toEqual({
      floor: expect.any(Function),
      maxAgeMs: 129_600_000,
    })
    expect(await asked(pipeline, { SITU_RETENTION_BYTES: '1000' })).toEqual({
      floor: expect.any(Function),
      maxBytesPerTopic: 1000,
    })
  })

  it('lets go what the reading operator has worked, partition by partition, and nothing behind its oldest open record', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, 2)
    await work(pipeline, 'extract', 0, 'page', 12)
    await work(pipeline, 'situate', 1, 'document', 5)
    const options = await asked(pipeline, { SITU_RETENTION_BYTES: '1' })
    expect(options?.floor('page', 0)).toBe(12)
    expect(options?.floor('page', 1)).toBe(0)
    expect(options?.floor('document', 0)).toBe(0)
    expect(options?.floor('document', 1)).toBe(5)
  })

  it('keeps topics that no operator reads', async () => {
    const pipeline = await memoryPipeline()
    await work(pipeline, 'dedupe-instruction', 0, 'instruction', 9)
    const options = await asked(pipeline, { SITU_RETENTION_BYTES: '1' })
    expect(options?.floor('instruction', 0)).toBe(9)
    for (const topic of ['deduped', 'dropped', 'failed', 'retry', 'prompt', 'task']) {
      expect(options?.floor(topic, 0)).toBe(0)
    }
  })
})
