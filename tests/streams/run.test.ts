import { describe, expect, it } from 'vitest'
import { drop } from '../../operators/operator.ts'
import { SituError } from '../../schemas/errors.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import { MemoryLog } from '../../streams/transports/memory.ts'
import {
  type Apply,
  fasterClock,
  memoryPipeline,
  readRecords,
  toDocument,
  toyRun,
  toyStage,
  writeArticles,
} from '../support/pipeline.ts'
import { until } from '../support/until.ts'

const texts = (count: number) => Array.from({ length: count }, (_, number) => `Text ${number} of the test.`)
const pass: Apply = record => [toDocument(record)]

/** A promise that a test opens by hand. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

describe('Run', () => {
  it('gives every input exactly one outcome', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(60))
    const stage = toyStage(record => {
      const number = Number(/\d+/.exec(record.text)?.[0])
      if (number % 3 === 1) return drop('unwanted')
      if (number % 3 === 2) throw new SituError('MODEL_REQUEST_REFUSED', 'not this one')
      return [toDocument(record), { ...toDocument(record), title: 'second' }]
    })
    const { counters } = await toyRun(pipeline, stage).work()
    expect(counters.toy).toMatchObject({
      in: 60,
      done: 20,
      out: 40,
      dropped: { unwanted: 20 },
      failed: { MODEL_REQUEST_REFUSED: 20 },
      retried: 0,
      inFlight: 0,
    })
    const [documents, dropped, failed] = await Promise.all([
      readRecords(pipeline, 'document'),
      readRecords(pipeline, 'dropped'),
      readRecords(pipeline, 'failed'),
    ])
    expect(new Set(documents.map(({ id }) => id)).size).toBe(40)
    expect(new Set([...documents, ...failed].map(record => (record as { input: unknown }).input)).size).toBeGreaterThan(
      20,
    )
    expect(dropped.every(({ operator, input }) => operator === 'toy' && input)).toBe(true)
  })

  it('goes on from its commit and does no finished record again', async () => {
    const log = new MemoryLog()
    const seen: string[] = []
    const stage = toyStage(record => {
      seen.push(record.text)
      return [toDocument(record)]
    })
    const first = await memoryPipeline(log)
    await writeArticles(first, texts(10))
    await toyRun(first, stage).work()
    await first.close()
    const second = await memoryPipeline(log)
    await writeArticles(second, ['One more.'])
    await toyRun(second, stage).work()
    expect(seen).toEqual([...texts(10), 'One more.'])
    expect(await readRecords(second, 'document')).toHaveLength(11)
  })

  it('is not held up by a stuck record, commits those behind it and works only the stuck one again', async () => {
    const log = new MemoryLog()
    const seen: string[] = []
    const stage = (stuck: boolean) =>
      toyStage(async (record, { signal }) => {
        seen.push(record.text)
        if (stuck && record.text === 'Text 0 of the test.') {
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        }
        return [toDocument(record)]
      })
    const pipeline = await memoryPipeline(log)
    await writeArticles(pipeline, texts(300))
    const stop = new AbortController()
    const working = toyRun(pipeline, stage(true), { stop: stop.signal, drainMs: 0 }).work()
    await until(async () => (await readRecords(pipeline, 'document')).length === 299)
    stop.abort()
    await working
    const [task] = await readRecords(pipeline, 'task')
    expect(task?.positions[0]).toMatchObject({ topic: 'article', next: 0, finished: [1, 299] })
    seen.length = 0
    await toyRun(pipeline, stage(false)).work()
    expect(seen).toEqual(['Text 0 of the test.'])
    expect(new Set((await readRecords(pipeline, 'document')).map(({ text }) => text)).size).toBe(300)
  })

  it('writes down that it has read what asks for nothing, so that it does not seem to wait', async () => {
    const pipeline = await memoryPipeline()
    const { transport } = pipeline
    await writeArticles(pipeline, texts(3))
    await toyRun(pipeline, toyStage(pass)).work()
    await transport.produce([
      { topic: 'retry', partition: 0, key: 'of nobody', value: Buffer.from('for another task') },
    ])
    await toyRun(pipeline, toyStage(pass)).work()
    const [task] = await readRecords(pipeline, 'task')
    expect(task?.positions.find(({ topic }) => topic === 'retry')?.next).toBe(1)
  })

  it('keeps an unknown error as OPERATOR_BUG with its stack, and goes on', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(30))
    const stage = toyStage(record => {
      if (record.text.includes(' 7 ')) throw new TypeError('x is not a function')
      return [toDocument(record)]
    })
    await toyRun(pipeline, stage).work()
    const [letter] = await readRecords(pipeline, 'failed')
    expect(letter).toMatchObject({ code: 'OPERATOR_BUG', operator: 'toy', message: 'toy: x is not a function' })
    expect(letter?.evidence).toMatchObject({ kind: 'stack', text: expect.stringContaining('run.test.ts') })
    expect(await readRecords(pipeline, 'document')).toHaveLength(29)
  })

  it('ends the run at ten unknown errors in a row and commits none of them', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(40))
    const broken = toyStage(() => {
      throw new TypeError('broken')
    })
    await expect(toyRun(pipeline, broken).work()).rejects.toMatchObject({ code: 'OPERATOR_BUG' })
    expect(await readRecords(pipeline, 'failed')).toEqual([])
    await toyRun(pipeline, toyStage(pass)).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(40)
  })

  it('keeps the bytes of a message that is no record, and goes on', async () => {
    const pipeline = await memoryPipeline()
    const bytes = [Buffer.from('not avro'), Buffer.from([0, 0, 0, 0, 99, 1]), Buffer.from([0, 0, 0, 0, 1, 200]), null]
    await pipeline.transport.produce(
      bytes.map((value, index) => ({ topic: 'article', partition: 0, key: `bad ${index}`, value })),
    )
    await writeArticles(pipeline, ['A good one.'])
    await toyRun(pipeline, toyStage(pass)).work()
    const failed = await readRecords(pipeline, 'failed')
    expect(failed.map(({ code }) => code).sort()).toEqual([
      'RECORD_INVALID',
      'RECORD_INVALID',
      'RECORD_INVALID',
      'SCHEMA_UNKNOWN',
    ])
    const first = failed.find(({ place }) => place?.offset === 0)
    expect(first).toMatchObject({ input: null, evidence: { kind: 'bytes', text: 'not avro', size: 8, cut: false } })
    expect(first?.value).toEqual(Buffer.from('not avro'))
    expect(failed.find(({ code }) => code === 'SCHEMA_UNKNOWN')?.evidence).toMatchObject({ kind: 'bytes', size: 6 })
    expect(await readRecords(pipeline, 'document')).toHaveLength(1)
  })

  it('cuts a dead letter that is larger than a message may be, and leaves its input to its place', async () => {
    const pipeline = await memoryPipeline(new MemoryLog(), fasterClock(50), 1, { maxMessageBytes: 40_000 })
    await writeArticles(pipeline, ['x'.repeat(35_000)])
    const stage = toyStage(() => {
      const content = 'y'.repeat(30_000)
      throw new SituError('MODEL_REPLY_INVALID', 'no', { evidence: { kind: 'reply', content } })
    })
    await toyRun(pipeline, stage).work()
    const [letter] = await readRecords(pipeline, 'failed')
    expect(letter).toMatchObject({ code: 'MODEL_REPLY_INVALID', value: null, evidence: { size: 30_000, cut: true } })
    expect(letter?.place).toMatchObject({ topic: 'article', offset: 0 })
  })

  it('makes a dead letter of a record that takes longer than its time, even where the operator heeds no signal', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['hangs', 'works'])
    const stage = toyStage(record => (record.text === 'hangs' ? new Promise(() => {}) : [toDocument(record)]))
    const retry = { maxAttempts: 3, backoffMs: 1, maxBackoffMs: 1, recordTimeoutMs: 2_000 }
    await toyRun(pipeline, stage, { retry }).work()
    expect(await readRecords(pipeline, 'failed')).toMatchObject([{ code: 'OPERATOR_TIMEOUT' }])
    expect(await readRecords(pipeline, 'document')).toHaveLength(1)
  })

  it('ends at an error of the run, with what was finished committed and no dead letter', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(20))
    const stage = toyStage(async record => {
      if (record.text.includes(' 12 ')) throw new SituError('MODEL_UNAUTHORIZED', 'big: the key is refused')
      return [toDocument(record)]
    })
    await expect(toyRun(pipeline, stage).work()).rejects.toMatchObject({ code: 'MODEL_UNAUTHORIZED' })
    expect(await readRecords(pipeline, 'failed')).toEqual([])
    await toyRun(pipeline, toyStage(pass)).work()
    const documents = await readRecords(pipeline, 'document')
    expect(documents).toHaveLength(20)
    expect(new Set(documents.map(({ id }) => id)).size).toBe(20)
  })

  it('works at most as many inputs as the limit says', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(50))
    await toyRun(pipeline, toyStage(pass), { limit: 7 }).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(7)
    await toyRun(pipeline, toyStage(pass), { limit: 7 }).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(14)
  })

  it('writes outputs in the order of inputs where it is asked to', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(120))
    const stage = toyStage(async record => {
      await pipeline.clock.sleep((Number.parseInt(record.id.slice(0, 2), 16) % 7) * 100)
      return [toDocument(record)]
    })
    await toyRun(pipeline, stage, { ordered: true }).work()
    expect((await readRecords(pipeline, 'document')).map(({ text }) => text)).toEqual(texts(120))
  })

  it('takes no task that another worker holds, and names it', async () => {
    const log = new MemoryLog()
    const [one, other] = [await memoryPipeline(log), await memoryPipeline(log)]
    await writeArticles(one, texts(5))
    const { opened, open } = gate()
    const slow = toyStage(async record => {
      await opened
      return [toDocument(record)]
    })
    const working = toyRun(one, slow).work()
    await until(() => log.tasks.has('main-toy-0'))
    expect(await toyRun(other, toyStage(pass)).work()).toEqual({ counters: {}, held: ['main-toy-0'] })
    open()
    await working
    expect(await readRecords(one, 'document')).toHaveLength(5)
  })

  it('writes nothing under a task that another worker has taken over', async () => {
    const log = new MemoryLog()
    const [one, other] = [await memoryPipeline(log), await memoryPipeline(log)]
    await writeArticles(one, texts(5))
    const { opened, open } = gate()
    const stop = new AbortController()
    const slow = toyStage(async record => {
      await opened
      return [{ ...toDocument(record), title: 'of the loser' }]
    })
    const losing = toyRun(one, slow, { stop: stop.signal, drainMs: 0 }).work()
    await until(() => log.tasks.get('main-toy-0')?.owned === true)
    log.expire('main-toy-0')
    await toyRun(other, toyStage(pass)).work()
    open()
    stop.abort()
    await losing.catch(() => {})
    const documents = await readRecords(other, 'document')
    expect(documents).toHaveLength(5)
    expect(documents.filter(({ title }) => title === 'of the loser')).toEqual([])
  })
})

describe('drain', () => {
  it('finishes what is open within the time, takes nothing new, and the next run does the rest', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(40))
    const { opened, open } = gate()
    const seen: string[] = []
    const stop = new AbortController()
    const stage = toyStage(async record => {
      seen.push(record.text)
      await opened
      return [toDocument(record)]
    })
    const working = toyRun(pipeline, stage, { stop: stop.signal, concurrency: 8 }).work()
    await until(() => seen.length === 8)
    stop.abort()
    open()
    const { counters } = await working
    expect(counters.toy).toMatchObject({ in: 8, done: 8, inFlight: 0 })
    expect(seen).toHaveLength(8)
    await toyRun(pipeline, stage).work()
    expect(seen).toHaveLength(40)
  })

  it('leaves uncommitted what is open when the time is over', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(4))
    const stop = new AbortController()
    let open = 0
    const stage = toyStage(() => {
      open++
      return new Promise(() => {})
    })
    const working = toyRun(pipeline, stage, { stop: stop.signal, drainMs: 500 }).work()
    await until(() => open === 4)
    stop.abort()
    await working
    expect(await readRecords(pipeline, 'document')).toEqual([])
    const { counters } = await toyRun(pipeline, toyStage(pass)).work()
    expect(counters.toy).toMatchObject({ in: 4, done: 4 })
  })
})

describe('configuration', () => {
  it('that differs from the one that wrote the topic stops the run, shows both, and can be accepted', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(3))
    await toyRun(pipeline, toyStage(pass), { configured: { minimum: 1 } }).work()
    await writeArticles(pipeline, ['new'])
    const changed = toyRun(pipeline, toyStage(pass), { configured: { minimum: 2 } }).work()
    await expect(changed).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringContaining('toy: options was {"minimum":1}, is {"minimum":2}'),
    })
    await toyRun(pipeline, toyStage(pass), { configured: { minimum: 2 }, acceptChange: true }).work()
    await toyRun(pipeline, toyStage(pass), { configured: { minimum: 2 } }).work()
    expect(await readRecords(pipeline, 'document')).toHaveLength(4)
  })
})

describe('status', () => {
  it('adds up, by counters and by the records', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['a', 'b', 'c'])
    const survey = await pipeline.transport.survey('task')
    const { operators } = await readStatus(pipeline, survey)
    expect(operators['dedupe-document']).toMatchObject({ in: 0, lag: 3 })
    expect(operators.situate).toMatchObject({ in: 0, lag: 0 })
    expect(await verify(pipeline, survey, operators, new AbortController().signal)).toEqual({
      differences: ['ingest: 3 records that no ingest has written'],
      notes: [],
    })
  })
})
