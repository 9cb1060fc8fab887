import { describe, expect, it } from 'vitest'
import type { Operator } from '../../../operators/operator.ts'
import { SituError } from '../../../schemas/errors.ts'
import type { Noun, Records } from '../../../schemas/records.ts'
import { partitionOf, type Stage, stages } from '../../../streams/chain/topology.ts'
import { contentId } from '../../../streams/identity.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import { verify } from '../../../streams/inspect/verify.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import type { Message } from '../../../streams/transports/transport.ts'
import { memoryPipeline, toyRun } from '../../support/pipeline.ts'

const partitions = 3
const over = 'dedupe-document-in'

/** Writes articles as a foreign producer does: no id, any key, each into the partition that is given. */
async function writeForeign({ transport, serde }: Pipeline, texts: readonly (readonly [string, number])[]) {
  const messages = texts.map(([text, partition], index) => {
    const article = { id: '', url: null, title: null, text, language: 'en', source: null, input: null }
    return { topic: 'article', partition, key: `key ${index}`, value: serde.encode('article', article).value }
  })
  await transport.produce(messages)
}

async function messagesOf({ transport }: Pipeline, topic: string): Promise<Message[]> {
  const found: Message[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) found.push(...messages)
  }
  return found
}

async function recordsOf<N extends Noun>(pipeline: Pipeline, noun: N): Promise<Records[N][]> {
  return Promise.all((await messagesOf(pipeline, noun)).map(({ value }) => pipeline.serde.decode(noun, value)))
}

/** The real stage, or one that works as a test wants in its place. */
function dedupeStage(apply?: Operator['apply']): Stage {
  const stage = stages.find(({ name }) => name === 'dedupe-document')
  if (!stage) throw new Error('no stage dedupe-document')
  return apply ? { ...stage, operator: { ...stage.operator, apply } } : stage
}

const configured = dedupeStage().operator.options.parse({}) as object

async function checkSums(pipeline: Pipeline) {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  // Nobody has ingested these.
  const others = differences.filter(difference => !difference.startsWith('ingest: '))
  return { ...status.operators['dedupe-document'], differences: [...status.differences, ...others] }
}

function homeOf(text: string): number {
  const article = { id: '', url: null, title: null, text, language: null, source: null, input: null }
  return partitionOf('article', article, partitions)
}

/** Texts of which each belongs to the partition. */
function textsOf(partition: number, count: number): string[] {
  const all = Array.from({ length: count * 20 }, (_, index) => `Text number ${index} of many.`)
  return all.filter(text => homeOf(text) === partition).slice(0, count)
}

describe('articles that others wrote', () => {
  it('are not passed over where the registry does not answer when they arrive', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const texts = Array.from({ length: 12 }, (_, index) => `Text number ${index} of many.`)
    await writeForeign(
      pipeline,
      texts.map((text, index) => [text, index % partitions] as const),
    )
    const away = new SituError('REGISTRY_UNREACHABLE', 'nothing answers')
    const serde = new Proxy(pipeline.serde, {
      get: (target, name) => {
        const decode = (noun: Noun, value: Uint8Array) =>
          noun === 'routed' ? Promise.reject(away) : target.decode(noun, value)
        const own = Reflect.get(target, name, target)
        return name === 'decode' ? decode : typeof own === 'function' ? own.bind(target) : own
      },
    })
    await expect(toyRun({ ...pipeline, serde }, dedupeStage(), { configured }).work()).rejects.toBe(away)
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    expect((await recordsOf(pipeline, 'document')).map(({ text }) => text).sort()).toEqual([...texts].sort())
    expect(await checkSums(pipeline)).toMatchObject({ in: 12, done: 12, differences: [] })
  })

  it('meet those of the same text, whatever partition each is in, and are counted once', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const texts = Array.from({ length: 20 }, (_, index) => `Text number ${index} of many.`)
    await writeForeign(
      pipeline,
      [0, 1, 2, 1].flatMap(shift => texts.map((text, index) => [text, (index + shift) % partitions] as const)),
    )
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    const documents = await recordsOf(pipeline, 'document')
    expect(documents.map(({ text }) => text).sort()).toEqual([...texts].sort())
    const dropped = await recordsOf(pipeline, 'dropped')
    expect(dropped.map(({ reason }) => reason)).toEqual(Array.from({ length: 60 }, () => 'repeat'))
    // Each way back is a seek to what the other wrote.
    const articles = await messagesOf(pipeline, 'article')
    for (const { input, text } of documents) {
      const message = articles.find(({ partition, offset }) => partition === input.partition && offset === input.offset)
      expect(input).toMatchObject({ topic: 'article', id: contentId(text) })
      expect((await pipeline.serde.decode('article', message?.value ?? null)).text).toBe(text)
    }
    expect(await checkSums(pipeline)).toMatchObject({ in: 80, done: 20, lag: 0, inFlight: 0, differences: [] })
  })

  it('are written a second time only where they lie in another partition', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const texts = textsOf(1, 4)
    await writeForeign(
      pipeline,
      texts.map((text, index) => [text, index === 3 ? 2 : 1]),
    )
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    const sent = await messagesOf(pipeline, over)
    expect(sent.map(({ partition, key }) => [partition, key])).toEqual([[1, contentId(texts[3] ?? '')]])
    expect(await recordsOf(pipeline, 'document')).toHaveLength(4)
  })

  it('cost no topic where there is one partition', async () => {
    const pipeline = await memoryPipeline()
    const names = (await pipeline.transport.topics()).map(({ name }) => name)
    expect(names).toContain('dedupe-document-state')
    expect(names).not.toContain(over)
  })

  it('are left where they lie when Situ wrote them, for it has routed them', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const text = textsOf(0, 1)[0] ?? ''
    const article = { id: 'own', url: null, title: null, text, language: 'en', source: null, input: null }
    const { value } = pipeline.serde.encode('article', article)
    await pipeline.transport.produce([{ topic: 'article', partition: 2, key: 'own', value, parent: 'a page' }])
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    expect(await messagesOf(pipeline, over)).toEqual([])
    expect((await messagesOf(pipeline, 'document')).map(({ parent }) => parent)).toEqual(['own'])
  })

  it('are sent on once, though the run ends in between', async () => {
    const log = new MemoryLog()
    const pipeline = await memoryPipeline(log, undefined, partitions)
    const texts = textsOf(0, 6)
    await writeForeign(
      pipeline,
      texts.flatMap(text => [1, 2].map(partition => [text, partition] as const)),
    )
    await toyRun(pipeline, dedupeStage(), { configured, limit: 2 }).work()
    const half = await checkSums(pipeline)
    expect(half).toMatchObject({ in: 2, lag: 10, differences: [] })
    await toyRun(await memoryPipeline(log, undefined, partitions), dedupeStage(), { configured, ordered: true }).work()
    expect(await checkSums(pipeline)).toMatchObject({ in: 12, done: 6, lag: 0, differences: [] })
    expect(await messagesOf(pipeline, over)).toHaveLength(12)
  })

  it('that can not be read are dead letters of the partition that they lie in', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const bad = { topic: 'article', partition: 2, key: 'bad', value: Buffer.from('no Avro') }
    await pipeline.transport.produce([bad, { ...bad, value: null }])
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    const failed: Records['failed'][] = []
    for await (const { value } of pipeline.transport.compacted('failed'))
      failed.push(await pipeline.serde.decode('failed', value))
    expect(failed.map(({ place }) => [place?.topic, place?.partition])).toEqual(Array(2).fill(['article', 2]))
    expect(await checkSums(pipeline)).toMatchObject({ in: 2, lag: 0, differences: [] })
  })

  it('fail as too large where they could not be written as a document either', async () => {
    const log = new MemoryLog()
    const text = 'word '.repeat(1000)
    await writeForeign(await memoryPipeline(log, undefined, partitions), [[text, (homeOf(text) + 1) % partitions]])
    const pipeline = await memoryPipeline(log, undefined, partitions, { maxMessageBytes: 2000 })
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    const summary = await checkSums(pipeline)
    expect(summary).toMatchObject({ in: 1, failed: { RECORD_TOO_LARGE: 1 }, differences: [] })
  })

  it('come back from failure by the task that they belong to', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    const [text = ''] = textsOf(0, 1)
    await writeForeign(pipeline, [[text, 2]])
    const failing = dedupeStage(() => {
      throw new SituError('RECORD_TOO_LARGE', 'a test says so')
    })
    await toyRun(pipeline, failing, { configured }).work()
    const [letter] = await Array.fromAsync(pipeline.transport.compacted('failed'))
    const { id, operator, variant, place, value } = await pipeline.serde.decode('failed', letter?.value ?? null)
    if (!place) throw new Error('a dead letter without a place')
    expect(place).toMatchObject({ topic: 'article', partition: 2, id: contentId(text) })
    const request = pipeline.serde.encode('retry', { id, operator, variant, place, value }).value
    await pipeline.transport.produce([{ topic: 'retry', partition: place.partition, key: id, value: request }])
    await writeForeign(pipeline, [[text, 1]])
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    expect(await Array.fromAsync(pipeline.transport.compacted('failed'))).toEqual([])
    expect((await recordsOf(pipeline, 'document')).map(document => document.text)).toEqual([text])
    expect(await recordsOf(pipeline, 'dropped')).toHaveLength(1)
    expect(await checkSums(pipeline)).toMatchObject({ in: 2, done: 1, retried: 1, failed: {}, differences: [] })
  })

  it('what is no input in the topic over which they are sent asks for nothing', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, partitions)
    await pipeline.transport.produce([{ topic: over, partition: 0, key: 'bad', value: Buffer.from('no Avro') }])
    await toyRun(pipeline, dedupeStage(), { configured }).work()
    expect(await checkSums(pipeline)).toMatchObject({ in: 0, differences: [] })
  })
})
