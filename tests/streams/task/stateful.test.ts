import { describe, expect, it } from 'vitest'
import { ExactIndex } from '../../../operators/dedup/exact-index.ts'
import { drop } from '../../../operators/operator.ts'
import { SituError } from '../../../schemas/errors.ts'
import { MemoryLog, type MemoryTransport } from '../../../streams/transports/memory.ts'
import { memoryPipeline, readRecords, toDocument, toyRun, toyStage, writeArticles } from '../../support/pipeline.ts'

describe('a stage with state', () => {
  const dedupe = toyStage(
    (record, { id, index }) => {
      const twin = index.insert(id, record.text)
      return twin ? drop('unwanted', { twin: twin.id, similarity: twin.similarity }) : [toDocument(record)]
    },
    { createIndex: () => new ExactIndex() },
  )

  it('reads its index back after a restart', async () => {
    const log = new MemoryLog()
    const first = await memoryPipeline(log)
    await writeArticles(first, ['same', 'other'])
    await toyRun(first, dedupe).work()
    await first.close()
    const second = await memoryPipeline(log)
    await writeArticles(second, ['same', 'third'])
    await toyRun(second, dedupe).work()
    expect((await readRecords(second, 'document')).map(({ text }) => text)).toEqual(['same', 'other', 'third'])
    const [dropped] = await readRecords(second, 'dropped')
    expect(dropped?.similarity).toBe(1)
  })

  it('keeps nothing of a batch whose commit failed', async () => {
    const log = new MemoryLog()
    const pipeline = await memoryPipeline(log)
    await writeArticles(pipeline, ['a', 'b', 'a', 'c'])
    const transport = pipeline.transport as MemoryTransport
    const join = transport.join.bind(transport)
    let commits = 0
    transport.join = (tasks, assigned) =>
      join(tasks, claim => {
        const commit = claim.commit.bind(claim)
        claim.commit = (messages, ...rest) => {
          if (messages.length > 0 && commits++ === 0) throw new SituError('DISK_FULL', 'no space left')
          return commit(messages, ...rest)
        }
        assigned(claim)
      })
    await expect(toyRun(pipeline, dedupe).work()).rejects.toMatchObject({ code: 'DISK_FULL' })
    expect(await readRecords(pipeline, 'document')).toEqual([])
    await toyRun(pipeline, dedupe).work()
    expect((await readRecords(pipeline, 'document')).map(({ text }) => text)).toEqual(['a', 'b', 'c'])
  })

  it('does not take a record that could not be written for a kept one', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['twice', 'TWICE'])
    const stage = toyStage(
      (record, { id, index }) => {
        const twin = index.insert(id, record.text)
        if (record.text === 'twice') throw new SituError('RECORD_TOO_LARGE', 'too large')
        return twin ? drop('unwanted', { twin: twin.id }) : [toDocument(record)]
      },
      { createIndex: () => new ExactIndex() },
    )
    await toyRun(pipeline, stage).work()
    expect(await readRecords(pipeline, 'document')).toMatchObject([{ text: 'TWICE' }])
  })

  it('refuses to begin at zero where its outputs are there already', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['a'])
    await toyRun(pipeline, dedupe).work()
    const [task] = await readRecords(pipeline, 'task')
    await pipeline.transport.produce([{ topic: 'task', partition: 0, key: task?.id ?? '', value: null }])
    await expect(toyRun(pipeline, dedupe).work()).rejects.toMatchObject({ code: 'POSITION_LOST' })
  })
})
