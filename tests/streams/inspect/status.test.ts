import { describe, expect, it } from 'vitest'
import { firstLine } from '../../../streams/chain/main-line.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import { renderStatus } from '../../../streams/terminal/status-table.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { memoryPipeline, readRecords, toDocument, toyRun, toyStage, writeArticles } from '../../support/pipeline.ts'

const stage = { ...toyStage(article => [toDocument(article)]), name: 'dedupe-document' as const }
const texts = (word: string) => Array.from({ length: 12 }, (_, number) => `${word} ${number}`)

describe('the status', () => {
  it('tells rate, commits and how often the task was taken, by one worker after the other', async () => {
    let now = 1_000_000
    const clock = { now: () => now, sleep: () => new Promise<void>(resolve => setImmediate(resolve)) }
    const log = new MemoryLog()
    const first = await memoryPipeline(log, clock)
    await writeArticles(first, texts('first'))
    await toyRun(first, stage).work()
    const status = async () =>
      (await readStatus(first, await first.transport.survey('task'))).operators['dedupe-document']
    expect(await status()).toMatchObject({ done: 12, lag: 0, recordsPerSecond: 12, taken: 1 })
    const before = (await status())?.commits ?? 0
    expect(before).toBeGreaterThan(1)
    now += 30_000
    expect(await status()).toMatchObject({ recordsPerSecond: 0.4 })
    now += 90_000
    expect(await status()).toMatchObject({ recordsPerSecond: 0 })
    const second = { ...first, transport: (await memoryPipeline(log, clock)).transport }
    await writeArticles(second, texts('second'))
    await toyRun(second, stage).work()
    expect(await status()).toMatchObject({ done: 24, recordsPerSecond: 12, taken: 2 })
    const [task] = await readRecords(first, 'task')
    expect(task?.work?.commits).toBe((await status())?.commits)
    expect(task?.work?.commits).toBeGreaterThan(before + 1)
    const text = renderStatus(await readStatus(first, await first.transport.survey('task')))
    expect(text).toMatch(/in flight +lag +per second +commits +taken/)
  })

  it('shows a dash for what a backend does not tell, and not a number', async () => {
    const pipeline = await memoryPipeline()
    const survey = await pipeline.transport.survey('task')
    const topics = survey.topics.map(topic => ({ ...topic, records: null, written: null, bytes: null, newest: null }))
    const status = await readStatus(pipeline, { ...survey, topics })
    expect(status.topics.prompt).toEqual({ records: null, bytes: null, newest: null })
    expect(Object.keys(status.operators).length).toBe(firstLine([]).length)
    expect(renderStatus(status)).toMatch(/^prompt +- +- +-$/m)
  })

  it('shows no time for one that no calendar has, as where a producer counts nanoseconds', async () => {
    const pipeline = await memoryPipeline()
    const survey = await pipeline.transport.survey('task')
    const topics = survey.topics.map(topic => ({ ...topic, newest: 1_795_693_611_549_782_000 }))
    expect((await readStatus(pipeline, { ...survey, topics })).topics.page?.newest).toBeNull()
  })
})
