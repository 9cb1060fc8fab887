import { afterEach, describe, expect, it } from 'vitest'
import type { Records } from '../../schemas/records.ts'
import { partitionOf, type Stage } from '../../streams/chain/topology.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { MetricsServer } from '../../streams/metrics/metrics.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run } from '../../streams/run.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { renderStatus } from '../../streams/terminal/status-table.ts'
import { MemoryLog } from '../../streams/transports/memory.ts'
import {
  type Apply,
  defaults,
  fasterClock,
  memoryPipeline,
  readRecords,
  silent,
  toDocument,
  toyStage,
} from '../support/pipeline.ts'

/** `instruct`, but that it writes its input down as an instruction. */
const instruct = (() => {
  const apply = ({ text, language, source }: Records['article']) => {
    const asked = { text, language, source, thought: '', document: null, situation: null, provenance: null }
    return [asked] as unknown as ReturnType<typeof toDocument>[]
  }
  const { operator, ...stage } = toyStage(apply as unknown as Apply)
  return { ...stage, name: 'instruct', output: 'instruction', operator: { ...operator, to: 'instruction' } } as Stage
})()

function runOf(pipeline: Pipeline, stage: Stage = instruct, options: Partial<typeof defaults> = {}): Run {
  const binding = new StageBinding(stage, {}, { prompt: null, model: null, snapshot: null })
  return new Run(pipeline, { ...defaults, ...options, bindings: [binding] }, silent)
}

async function write({ transport, serde, partitions }: Pipeline, texts: readonly string[]): Promise<void> {
  await transport.produce(
    texts.map((text, number) => {
      const id = `${text} ${number}`
      const record = { id, url: null, title: null, text, language: 'en', source: null, input: null }
      const partition = partitionOf('article', record, partitions)
      return { topic: 'article', partition, key: id, ...serde.encode('article', record) }
    }),
  )
}

async function statusOf(pipeline: Pipeline) {
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  return { opening: status.operators.instruct?.opening, text: renderStatus(status) }
}

/** Of ten texts three begin alike, the others each in their own way. */
function texts(count: number, alike: string, own: (number: number) => string): string[] {
  return Array.from({ length: count }, (_, at) => (at % 10 < 3 ? `${alike}${own(at)}` : `${own(at)}${alike}`))
}

describe('the openings of made instructions', () => {
  it.each([
    ['i need help with', texts(200, 'I need help with ', number => `${number} boats and their sails. `)],
    ['请帮我写一封关', texts(200, '请帮我写一封关于', number => `${number}号渡轮的信。`)],
    ['私はフェリーの', texts(200, '私はフェリーの時刻', number => `第${number}回の表を見たい。`)],
  ])('tell that 0.3 of them begin with %j', async (opening, made) => {
    const pipeline = await memoryPipeline()
    await write(pipeline, made)
    await runOf(pipeline).work()
    const status = await statusOf(pipeline)
    expect(status.opening).toEqual({ text: opening, share: 0.3, outputs: 200 })
    expect(status.text).toContain(`instruct: 0.300 of the last 200 outputs begin with "${opening}"`)
    expect(await readRecords(pipeline, 'instruction')).toHaveLength(200)
  })

  it('are added up over the tasks of a stage', async () => {
    const pipeline = await memoryPipeline(new MemoryLog(), fasterClock(50), 3)
    await write(
      pipeline,
      texts(300, 'I need help with ', number => `${number} boats and their sails. `),
    )
    await runOf(pipeline).work()
    const tasks = (await readRecords(pipeline, 'task')).filter(({ stage }) => stage === 'instruct')
    expect(tasks.map(({ work }) => work?.openings?.outputs ?? 0).filter(outputs => outputs > 0)).toHaveLength(3)
    expect((await statusOf(pipeline)).opening).toEqual({ text: 'i need help with', share: 0.3, outputs: 300 })
  })

  it('are those of the last thousand, so that a prompt that was mended shows', async () => {
    const pipeline = await memoryPipeline()
    await write(pipeline, [
      ...Array.from({ length: 1_000 }, (_, number) => `I need help with ${number} boats.`),
      ...Array.from({ length: 750 }, (_, number) => `${number} boats are more than I can sail.`),
    ])
    await runOf(pipeline, instruct, { ordered: true }).work()
    expect((await statusOf(pipeline)).opening).toEqual({ text: 'i need help with', share: 0.25, outputs: 1_000 })
  })

  it('begin anew when a task is taken, and stay told until there is an output', async () => {
    const log = new MemoryLog()
    const first = await memoryPipeline(log)
    await write(
      first,
      texts(100, 'I need help with ', number => `${number} boats and their sails. `),
    )
    await runOf(first).work()
    const before = (await statusOf(first)).opening
    expect(before).toMatchObject({ share: 0.3, outputs: 100 })
    await runOf(first).work()
    expect((await statusOf(first)).opening).toEqual(before)
    await write(first, ['How many boats are there in the harbour?'])
    await runOf(first).work()
    expect((await statusOf(first)).opening).toEqual({ text: 'how many boats are', share: 1, outputs: 1 })
  })

  it('are told of no other stage', async () => {
    const pipeline = await memoryPipeline()
    await write(pipeline, ['I need help with this.'])
    const stage = { ...toyStage(article => [toDocument(article)]), name: 'dedupe-document' as const }
    await runOf(pipeline, stage).work()
    const { operators } = await readStatus(pipeline, await pipeline.transport.survey('task'))
    expect(operators['dedupe-document']).toMatchObject({ done: 1, opening: null })
  })
})

describe('metrics', () => {
  const servers: MetricsServer[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  /** What is served of openings once so many outputs are committed. */
  async function served(made: readonly string[]): Promise<string[]> {
    const pipeline = await memoryPipeline()
    await write(pipeline, made)
    const stop = new AbortController()
    const run = runOf(pipeline, instruct, { follow: true, stop: stop.signal })
    const server = await MetricsServer.open(pipeline, run, {
      host: '127.0.0.1',
      port: 0,
      recordTimeoutMs: 60_000,
      stop: stop.signal,
    })
    servers.push(server)
    const working = run.work()
    for (;;) {
      const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
      if (text.includes(`situ_opening_records{stage="instruct",variant="main"} ${made.length}\n`)) {
        stop.abort()
        await working
        return text.split('\n').filter(line => /^situ_\w*opening/.test(line))
      }
    }
  }

  it('tell the share of the commonest opening, and which it is', async () => {
    expect(await served(texts(50, 'I need "help" with ', number => `${number} boats and their sails. `))).toEqual([
      'situ_opening_share{stage="instruct",variant="main"} 0.3',
      'situ_opening_records{stage="instruct",variant="main"} 50',
      'situ_commonest_opening{stage="instruct",variant="main",opening="i need help with"} 0.3',
    ])
  })

  it('name no opening that is rare: each would be a series of its own', async () => {
    expect(await served(Array.from({ length: 40 }, (_, number) => `${number} boats are many.`))).toEqual([
      'situ_opening_share{stage="instruct",variant="main"} 0.025',
      'situ_opening_records{stage="instruct",variant="main"} 40',
    ])
  })
})
