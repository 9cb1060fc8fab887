import { describe, expect, it } from 'vitest'
import { createTokenizer } from '../../../operators/gpt-tokenizer.ts'
import { stages } from '../../../streams/chain/topology.ts'
import { Backlog } from '../../../streams/estimate/backlog.ts'
import { TokenCounter } from '../../../streams/estimate/token-counter.ts'
import { VirtualStage } from '../../../streams/estimate/virtual-stage.ts'
import { Survey } from '../../../streams/estimate/waiting.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { Run } from '../../../streams/run.ts'
import { OpenSearches } from '../../../streams/searches/open-searches.ts'
import { StageBinding } from '../../../streams/task/stage-binding.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../../support/pipeline.ts'

const { signal } = new AbortController()
const texts = (count: number, from = 0) => Array.from({ length: count }, (_, number) => `Text ${from + number} of all.`)

function dedupeDocument(): StageBinding {
  const stage = stages.find(({ name }) => name === 'dedupe-document')
  if (!stage) throw new Error('no such stage')
  const options = stage.operator.options.parse({}) as Record<string, unknown>
  return new StageBinding(stage, options, { prompt: null, model: null, snapshot: null })
}

async function keysOf(pipeline: Pipeline, most = Number.POSITIVE_INFINITY) {
  const backlog = await Backlog.open(pipeline, most)
  const found: { key: string | null; weight: number }[] = []
  for await (const { input, weight } of backlog.of(dedupeDocument().stage, signal)) {
    found.push({ key: input.key, weight })
  }
  return found
}

async function survey(pipeline: Pipeline, most = Number.POSITIVE_INFINITY, limit: number | null = null) {
  const { retry } = defaults
  const tokenizer = createTokenizer()
  const searches = new OpenSearches(pipeline)
  const ports = { pipeline, log: silent, tokenizer, retry, searches, restoresState: true }
  const stage = new VirtualStage(dedupeDocument(), 0, ports)
  const backlog = await Backlog.open(pipeline, most)
  const counter = new TokenCounter(tokenizer)
  return new Survey({ stages: [stage], backlog, counter, sample: 5, seed: 1, limit, signal }).run()
}

describe('what waits', () => {
  it('is what the tasks have not finished, whatever the order of their work', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(10))
    await new Run(pipeline, { ...defaults, bindings: [dedupeDocument()], limit: 4 }, silent).work()
    const worked = new Set((await readRecords(pipeline, 'document')).map(({ input }) => input.id))
    const found = await keysOf(pipeline)
    expect([worked.size, found.length]).toEqual([4, 6])
    expect(found.filter(({ key }) => worked.has(key ?? ''))).toEqual([])
  })

  it('is read to a bound, and the part that is read stands for all', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(10))
    const found = await keysOf(pipeline, 4)
    expect(found.map(({ weight }) => weight)).toEqual([2.5, 2.5, 2.5, 2.5])
    const { flows, rows, isWhole, read } = await survey(pipeline, 4)
    expect([flows[0]?.inputs, rows, isWhole, read]).toEqual([10, 10, false, 4])
  })

  it('is dropped where a run would: repeats of kept records and of each other; nothing is written', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(3))
    await new Run(pipeline, { ...defaults, bindings: [dedupeDocument()] }, silent).work()
    // Ids are made from the content: what differs in case alone is another record with the same text.
    await writeArticles(pipeline, ['TEXT 1 OF ALL.', ...texts(2, 3), 'TEXT 4 OF ALL.'])
    const before = await readRecords(pipeline, 'document')
    const { flows, rows } = await survey(pipeline)
    expect([flows, rows]).toEqual([[{ inputs: 4, passed: 2, left: 2 }], 2])
    expect(await readRecords(pipeline, 'document')).toEqual(before)
  })

  it('ends at the limit of a run', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts(10))
    expect((await survey(pipeline, 4, 7)).flows[0]?.inputs).toBe(7)
    expect((await survey(pipeline, 20, 7)).flows[0]?.inputs).toBe(7)
  })
})

describe('the token counter', () => {
  it('counts lines one by one as the tokenizer counts the whole', () => {
    const tokenizer = createTokenizer()
    const content =
      'A first line.\n\n  indented\n/slash\n\n# Heading\nLast – “quoted”\r\n\n1984 was\tthere\n...\n\n\nEnd'
    const counter = new TokenCounter(tokenizer)
    expect(counter.of([{ role: 'user', content }])).toBe(tokenizer.count(content))
    expect(counter.of([{ role: 'user', content }])).toBe(tokenizer.count(content))
  })
})
