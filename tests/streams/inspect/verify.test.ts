import { afterEach, describe, expect, it } from 'vitest'
import { stages } from '../../../streams/chain/topology.ts'
import { readConfig, withSettings } from '../../../streams/config/config.ts'
import { contentId } from '../../../streams/identity.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import { type Verified, verify } from '../../../streams/inspect/verify.ts'
import { openPipeline, type Pipeline } from '../../../streams/pipeline.ts'
import { applyRetention } from '../../../streams/retention.ts'
import { emptyCounters } from '../../../streams/task/task-record.ts'
import type { Message, OutgoingMessage } from '../../../streams/transports/transport.ts'
import { memoryPipeline, toDocument, toyRun, toyStage, writeArticles } from '../../support/pipeline.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder)
})

async function embeddedPipeline() {
  const data = temporaryFolder()
  folders.push(data)
  const { config } = readConfig({ data }, {})
  return { config, pipeline: await openPipeline(config, 'write') }
}

async function verified(pipeline: Pipeline) {
  const survey = await pipeline.transport.survey('task')
  const { operators } = await readStatus(pipeline, survey)
  return verify(pipeline, survey, operators, new AbortController().signal)
}

function dedupeDocument() {
  const stage = stages.find(({ name }) => name === 'dedupe-document')
  if (!stage) throw new Error('no stage dedupe-document')
  return stage
}

/** Works all articles by the real stage, so that its task and its outcomes stand in the log. */
async function dedupe(pipeline: Pipeline): Promise<void> {
  const stage = dedupeDocument()
  const configured = stage.operator.options.parse({}) as object
  await toyRun(pipeline, stage, { configured }).work()
}

/** Writes articles as a foreign producer does: any key, no id. */
async function writeForeign({ transport, serde }: Pipeline, texts: readonly string[]): Promise<void> {
  const messages = texts.map((text, index) => {
    const article = { id: '', url: null, title: null, text, language: 'en', source: null, input: null }
    return { topic: 'article', partition: 0, key: `key ${index}`, ...serde.encode('article', article) }
  })
  await transport.produce(messages)
}

async function messagesOf({ transport }: Pipeline, topic: string): Promise<Message[]> {
  const found: Message[] = []
  for await (const { messages } of transport.read(topic, 0, 0)) found.push(...messages)
  return found
}

describe('verify', () => {
  it('finds an output that no counter knows', async () => {
    const { pipeline } = await embeddedPipeline()
    await writeArticles(pipeline, ['one', 'two', 'two again'])
    await dedupe(pipeline)
    const [extra] = [{ topic: 'document', partition: 0, key: 'extra', value: Buffer.from('x'), parent: 'nobody' }]
    await pipeline.transport.produce([extra])
    expect((await verified(pipeline)).differences).toEqual(
      expect.arrayContaining([
        'dedupe-document: out: 3 counted, 4 in the topics',
        'dedupe-document: 1 outcomes of inputs that are not there',
      ]),
    )
    await pipeline.close()
  })

  it('does not take what retention has deleted for lost, and says what it did not compare', async () => {
    const { config, pipeline } = await embeddedPipeline()
    await writeArticles(pipeline, ['one', 'two', 'three'])
    await dedupe(pipeline)
    expect(await verified(pipeline)).toEqual({
      differences: ['ingest: 3 records that no ingest has written'],
      notes: [],
    })
    expect(await applyRetention(pipeline, withSettings(config, { retentionBytes: 1 }))).toBe(3)
    expect(await verified(pipeline)).toEqual({
      differences: [],
      notes: ['article: old records are deleted; its records are not compared'],
    })
    await pipeline.close()
  })

  it('takes the same foreign text twice for two inputs, by its content and not by its key', async () => {
    const pipeline = await memoryPipeline()
    await writeForeign(pipeline, ['one', 'two', 'one', 'two'])
    await dedupe(pipeline)
    const foreign = 'ingest: 4 records that no ingest has written'
    expect(await verified(pipeline)).toEqual({ differences: [foreign], notes: [] })
    const survey = await pipeline.transport.survey('task')
    const { operators } = await readStatus(pipeline, survey)
    expect(operators['dedupe-document']).toMatchObject({ in: 4, done: 2, dropped: { repeat: 2 } })
    // A log that does not count what was written can't tell who wrote.
    const uncounted = { ...survey, topics: survey.topics.map(topic => ({ ...topic, written: null })) }
    expect(await verify(pipeline, uncounted, operators, new AbortController().signal)).toEqual({
      differences: [],
      notes: ['ingest: 4 records are of other producers'],
    })
  })

  it('tells an ingest whose records are not as many as it counted', async () => {
    const pipeline = await memoryPipeline()
    const { transport, serde } = pipeline
    const counters = { ...emptyCounters(), in: 2, done: 2, out: 2 }
    const common = { stage: 'ingest', partition: 0, epoch: 0, configuration: null, positions: [], time: 0, work: null }
    const task = (id: string) => ({ ...common, id, counters, variant: 'main' })
    const tasks = ['ingest-whole', 'ingest-short'].map(id => ({
      topic: 'task',
      partition: 0,
      key: id,
      value: serde.encode('task', task(id)).value,
    }))
    const pages = ['ingest-whole', 'ingest-whole', 'ingest-short', 'ingest-unknown'].map((parent, index) => {
      const content = `page ${index}`
      const page = { id: contentId(content), url: null, title: null, content, format: 'text' as const, source: null }
      return { topic: 'page', partition: 0, key: page.id, value: serde.encode('page', page).value, parent }
    })
    await transport.produce([...tasks, ...pages])
    expect((await verified(pipeline)).differences).toEqual([
      'ingest-short: done 2 counted, 1 in the topics',
      'ingest-unknown: done 0 counted, 1 in the topics',
    ])
  })

  describe('where bounds are later than counters, as on Kafka', () => {
    /** The counters of one moment with the bounds of a later one. */
    async function laterVerified(pipeline: Pipeline, meanwhile: () => Promise<unknown>): Promise<Verified> {
      const { messages } = await pipeline.transport.survey('task')
      await meanwhile()
      const survey = { ...(await pipeline.transport.survey('task')), messages }
      const topics = survey.topics.map(topic => ({ ...topic, written: null, records: null }))
      const { operators } = await readStatus(pipeline, { ...survey, topics })
      return verify(pipeline, { ...survey, topics }, operators, new AbortController().signal)
    }

    it('leaves out what was worked meanwhile, and what came meanwhile', async () => {
      const pipeline = await memoryPipeline()
      await writeForeign(pipeline, ['one', 'two', 'one'])
      await dedupe(pipeline)
      await writeForeign(pipeline, ['three', 'four'])
      const found = await laterVerified(pipeline, async () => {
        await writeForeign(pipeline, ['five', 'five'])
        await dedupe(pipeline)
      })
      expect(found).toEqual({ differences: [], notes: ['ingest: 7 records are of other producers'] })
    })

    it('finds an output of an input that no task has passed', async () => {
      const pipeline = await memoryPipeline()
      await writeForeign(pipeline, ['one'])
      await dedupe(pipeline)
      await writeForeign(pipeline, ['two'])
      const { differences } = await laterVerified(pipeline, async () => {
        const early = {
          topic: 'document',
          partition: 0,
          key: 'early',
          value: Buffer.from('x'),
          parent: contentId('two'),
        }
        await pipeline.transport.produce([early])
      })
      expect(differences).toContain('dedupe-document: out: 1 counted, 2 in the topics')
    })

    it('says where the same content was worked before and meanwhile', async () => {
      const pipeline = await memoryPipeline()
      await writeForeign(pipeline, ['one'])
      await dedupe(pipeline)
      await writeForeign(pipeline, ['one'])
      const { differences, notes } = await laterVerified(pipeline, () => dedupe(pipeline))
      expect(differences).toEqual([])
      expect(notes.join('\n')).toContain('dedupe-document: inputs that came more than once were worked meanwhile')
    })
  })

  it('finds an input that was sent on twice', async () => {
    const pipeline = await memoryPipeline(undefined, undefined, 2)
    await writeForeign(pipeline, ['one', 'two', 'three', 'four', 'five'])
    await dedupe(pipeline)
    const over = 'dedupe-document-in'
    const [copy] = await Array.fromAsync(pipeline.transport.read(over, 1, 0), ({ messages }) => messages[0])
    if (!copy?.key) throw new Error('nothing was sent on')
    await pipeline.transport.produce([{ ...copy, key: copy.key }])
    expect((await verified(pipeline)).differences).toContain(
      'dedupe-document: 1 inputs sent on twice to the task that they belong to',
    )
  })

  it('finds an outcome too many of an input that came twice', async () => {
    const pipeline = await memoryPipeline()
    await writeForeign(pipeline, ['one', 'one'])
    await dedupe(pipeline)
    const [drop] = await messagesOf(pipeline, 'dropped')
    await pipeline.transport.produce([{ ...drop, topic: 'dropped', partition: 0, key: 'again' } as OutgoingMessage])
    expect((await verified(pipeline)).differences).toEqual(
      expect.arrayContaining([
        'dedupe-document: dropped: 1 counted, 2 in the topics',
        'dedupe-document: 1 inputs with two outcomes',
      ]),
    )
  })

  it('compares no dead letters where one came or went meanwhile', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, ['one'])
    const fails = toyStage(record => [toDocument(record)])
    await toyRun(pipeline, { ...fails, name: 'dedupe-document' }).work()
    const survey = await pipeline.transport.survey('task')
    const { operators } = await readStatus(pipeline, survey)
    await pipeline.transport.produce([{ topic: 'failed', partition: 0, key: 'later', value: null }])
    const { notes } = await verify(pipeline, survey, operators, new AbortController().signal)
    expect(notes).toEqual(['failed: it changed while this was counting; its records are not compared'])
  })
})
