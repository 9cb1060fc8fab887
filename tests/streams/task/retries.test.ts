import { describe, expect, it } from 'vitest'
import { ExactIndex } from '../../../operators/dedup/exact-index.ts'
import { SituError } from '../../../schemas/errors.ts'
import type { Retry } from '../../../schemas/records.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import {
  type Apply,
  memoryPipeline,
  readRecords,
  toDocument,
  toyRun,
  toyStage,
  writeArticles,
} from '../../support/pipeline.ts'

async function askFor({ transport, serde }: Pipeline, retry: Retry, times: number): Promise<void> {
  const { value } = serde.encode('retry', retry)
  const message = { topic: 'retry', partition: retry.place.partition, key: retry.id, value }
  await transport.produce(Array.from({ length: times }, () => message))
}

const texts = (count: number) => Array.from({ length: count }, (_, number) => `Text ${number} of the test.`)
const pass: Apply = record => [toDocument(record)]

/** A stage that refuses its inputs until it is mended. */
async function failOnce(pipeline: Pipeline) {
  let mended = false
  const stage = toyStage(
    record => {
      if (!mended) throw new SituError('MODEL_CONTENT_FILTERED', 'not yet')
      return [toDocument(record)]
    },
    { createIndex: () => new ExactIndex() },
  )
  await toyRun(pipeline, stage, { concurrency: 1 }).work()
  mended = true
  return stage
}

describe('a dead letter', () => {
  it('asked for twice is worked once, also where one record is worked at a time', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['a'])
    const stage = await failOnce(pipeline)
    const [letter] = await readRecords(pipeline, 'failed')
    const { id = '', operator = '', place = null, value = null } = letter ?? {}
    if (!place) throw new Error('no dead letter')
    await askFor(pipeline, { id, operator, variant: 'main', place, value }, 2)
    const { counters } = await toyRun(pipeline, stage, { concurrency: 1 }).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(1)
    expect(counters.toy).toMatchObject({ in: 1, done: 1, out: 1, retried: 1, failed: {} })
  })

  it('whose input is gone stays, and stops nothing', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['a'])
    const stage = await failOnce(pipeline)
    const [letter] = await readRecords(pipeline, 'failed')
    const { id = '', operator = '' } = letter ?? {}
    await askFor(
      pipeline,
      { id, operator, variant: 'main', place: { id: null, topic: 'article', partition: 0, offset: 77 }, value: null },
      1,
    )
    await writeArticles(pipeline, ['b'])
    const { counters } = await toyRun(pipeline, stage).work()
    expect(counters.toy).toMatchObject({ in: 2, done: 1, failed: { MODEL_CONTENT_FILTERED: 1 } })
  })

  it('of another stage does not hold up the run, however many are asked for', async () => {
    const pipeline = await memoryPipeline()
    const place = { id: null, topic: 'article', partition: 0, offset: 0 }
    await askFor(pipeline, { id: 'x', operator: 'another', variant: 'main', place, value: null }, 10_050)
    const stop = AbortSignal.timeout(5_000)
    const stage = toyStage(record => [toDocument(record)])
    expect((await toyRun(pipeline, stage, { stop }).work()).counters.toy).toMatchObject({ in: 0 })
    expect(stop.aborted).toBe(false)
  })
})

describe('dead letters', () => {
  async function askAgain(pipeline: Pipeline): Promise<void> {
    for (const { id, operator, place, value, variant } of await readRecords(pipeline, 'failed')) {
      if (place) await askFor(pipeline, { id, operator, place, value, variant }, 1)
    }
  }

  const failing = (code: 'MODEL_REPLY_INVALID' | 'MODEL_REPLY_CUT') =>
    toyStage(record => {
      if (record.text.includes(' 3 ')) throw new SituError(code, 'no')
      return [toDocument(record)]
    })

  it('come back: the input is worked, the dead letter goes, and the sums hold', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(6))
    await toyRun(pipeline, failing('MODEL_REPLY_INVALID')).work()
    await askAgain(pipeline)
    const { counters } = await toyRun(pipeline, toyStage(pass)).work()
    expect(counters.toy).toMatchObject({ in: 6, done: 6, out: 6, dropped: {}, failed: {}, retried: 1, inFlight: 0 })
    expect(await readRecords(pipeline, 'failed')).toEqual([])
    expect(await readRecords(pipeline, 'document')).toHaveLength(6)
  })

  it('asked for twice are worked once', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(6))
    await toyRun(pipeline, failing('MODEL_REPLY_INVALID')).work()
    await askAgain(pipeline)
    await askAgain(pipeline)
    await toyRun(pipeline, toyStage(pass)).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(6)
  })

  it('that fail again take the place of the first, with the new code', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(6))
    await toyRun(pipeline, failing('MODEL_REPLY_INVALID')).work()
    await askAgain(pipeline)
    const { counters } = await toyRun(pipeline, failing('MODEL_REPLY_CUT')).work()
    expect(counters.toy).toMatchObject({ in: 6, done: 5, failed: { MODEL_REPLY_CUT: 1 }, retried: 1 })
    expect(await readRecords(pipeline, 'failed')).toMatchObject([{ code: 'MODEL_REPLY_CUT' }])
  })
})
