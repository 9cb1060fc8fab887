import { describe, expect, it } from 'vitest'
import { builtInSnapshot, createSnapshot, type DemonstrationSnapshot } from '../../../operators/demonstrations.ts'
import { bindStages } from '../../../streams/bind.ts'
import { chooseStages, firstLine } from '../../../streams/chain/main-line.ts'
import { type Flags, readConfig } from '../../../streams/config/config.ts'
import { sentMessages } from '../../../streams/inspect/sent-messages.ts'
import { countShown } from '../../../streams/inspect/shown.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { Run, type RunOptions } from '../../../streams/run.ts'
import {
  chooseSnapshot,
  keepSnapshot,
  listSnapshots,
  makeSnapshot,
  readSnapshot,
  snapshotFor,
  useSnapshot,
} from '../../../streams/snapshots/demonstrations.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { madeDemonstration, writeDemonstrations } from '../../support/demonstrations.ts'
import { defaults, fasterClock, memoryPipeline, readRecords, silent, writeArticles } from '../../support/pipeline.ts'

const builtIn = builtInSnapshot()
const made = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => madeDemonstration(from + index))
const ids = ({ demonstrations }: DemonstrationSnapshot) => demonstrations.map(({ id }) => id)
const chain = ['dedupe-document', 'situate', 'instruct']

/** As `situ run` does it. */
async function run(pipeline: Pipeline, flags: Flags = {}, options: Partial<RunOptions> = {}) {
  const { config } = readConfig({ model: 'stand-in', ...flags }, {})
  const chosen = chooseStages(firstLine([]), chain)
  const drawn = await snapshotFor(chosen, pipeline, config)
  const bindings = bindStages(chosen, config, [], drawn?.snapshot)
  await useSnapshot(pipeline, drawn, silent)
  return new Run(pipeline, { ...defaults, ...options, bindings }, silent).work()
}

function article(number: number): string {
  return `Lighthouse ${number}. `.concat(
    `In year ${number} its keeper counted ${number * 37} ships on the sound. `.repeat(8),
  )
}

async function pipelineWith(count: number): Promise<Pipeline> {
  const pipeline = await memoryPipeline()
  await writeArticles(
    pipeline,
    Array.from({ length: count }, (_, number) => article(number)),
  )
  return pipeline
}

describe('a snapshot', () => {
  it('is the built-in one while the topic is empty or not there', async () => {
    const pipeline = await memoryPipeline()
    const { snapshot, record } = await makeSnapshot(pipeline, null)
    expect(snapshot.hash).toBe(builtIn.hash)
    expect(record).toMatchObject({ demonstrations: 24, builtIn: 24, ends: [] })
    await writeDemonstrations(pipeline, [])
    expect((await makeSnapshot(pipeline, null)).record).toEqual({ ...record, ends: [0], time: expect.any(Number) })
  })

  it('is filled up with built-in ones below 24, and holds none of them from 24 on', async () => {
    const pipeline = await memoryPipeline()
    await writeDemonstrations(pipeline, made(0, 5))
    const few = await makeSnapshot(pipeline, null)
    expect(few.record).toMatchObject({ demonstrations: 24, builtIn: 19, topic: 'demonstration', ends: [5] })
    expect(ids(few.snapshot).slice(5)).toEqual(ids(builtIn).slice(0, 19))
    await writeDemonstrations(pipeline, made(5, 30))
    const many = await makeSnapshot(pipeline, null)
    expect(many.record).toMatchObject({ demonstrations: 30, builtIn: 0, ends: [30] })
    expect(ids(many.snapshot).filter(id => ids(builtIn).includes(id))).toEqual([])
  })

  it('depends on what is there alone: not on order, partitions or repeats', async () => {
    const one = await memoryPipeline()
    const three = await memoryPipeline(new MemoryLog(), fasterClock(50), 3)
    await writeDemonstrations(one, made(0, 40))
    await writeDemonstrations(three, made(0, 40).reverse())
    await writeDemonstrations(three, [madeDemonstration(7, { id: 'again', url: 'https://example.org/' })])
    const all = await makeSnapshot(three, null)
    expect(all.snapshot.hash).toBe((await makeSnapshot(one, null)).snapshot.hash)
    expect(all.record.ends.reduce((sum, end) => sum + end)).toBe(41)
    const limited = await makeSnapshot(three, 30)
    expect(limited.snapshot.hash).toBe((await makeSnapshot(one, 30)).snapshot.hash)
    expect(ids(all.snapshot)).toEqual(expect.arrayContaining(ids(limited.snapshot)))
  })

  it('leaves out what has an empty field, and tells how many', async () => {
    const pipeline = await memoryPipeline()
    await writeDemonstrations(pipeline, [...made(0, 2), madeDemonstration(2, { thought: ' ' })])
    expect(await makeSnapshot(pipeline, null)).toMatchObject({
      unusable: 1,
      record: { demonstrations: 24, builtIn: 22 },
    })
  })

  it('is kept whole where it is larger than a message may be', async () => {
    const log = new MemoryLog()
    const pipeline = await memoryPipeline(log, fasterClock(50), 2, { maxMessageBytes: 1 << 20 })
    const large = createSnapshot(made(0, 60).map(one => ({ ...one, document: `𝛼βγ ${one.id} `.repeat(2_000) })))
    const { record } = await makeSnapshot(pipeline, null)
    await keepSnapshot(pipeline, { snapshot: large, record: { ...record, id: large.hash } })
    const again = await readSnapshot(pipeline, large.hash)
    expect(again.hash).toBe(large.hash)
    expect(ids(again)).toEqual(ids(large))
    const texts = await readRecords(pipeline, 'prompt')
    expect(Math.max(...texts.map(({ text }) => Buffer.byteLength(text)))).toBeLessThan(1 << 20)
  })
})

describe('the snapshot of a run', () => {
  it('is the built-in one where none was pinned, with the ids that it always had', async () => {
    const pipeline = await pipelineWith(2)
    await writeDemonstrations(pipeline, made(0, 30))
    expect((await chooseSnapshot(pipeline, 'pinned')).snapshot.hash).toBe(builtIn.hash)
    await run(pipeline)
    const [situation] = await readRecords(pipeline, 'situation')
    expect(situation?.provenance).toMatchObject({ snapshot: builtIn.hash, sample: 0, lost: [] })
    const shown = situation?.provenance.demonstrations ?? []
    const drawn = builtIn.draw(situation?.provenance.seed ?? '', shown.length)
    expect(shown).toEqual(drawn.map(({ id }) => id))
    expect(await listSnapshots(pipeline)).toEqual([])
  })

  it('is the one that was pinned, in every later run and on every machine, until another one is', async () => {
    const log = new MemoryLog()
    const pipeline = await memoryPipeline(log)
    await writeDemonstrations(pipeline, made(0, 30))
    const first = await makeSnapshot(pipeline, null)
    await keepSnapshot(pipeline, first, true)
    await writeDemonstrations(pipeline, made(30, 40))
    const other = await memoryPipeline(log)
    expect((await chooseSnapshot(other, 'pinned')).snapshot.hash).toBe(first.snapshot.hash)
    const second = await makeSnapshot(pipeline, null)
    await pipeline.clock.sleep(1)
    await keepSnapshot(pipeline, second, true)
    expect((await chooseSnapshot(other, 'pinned')).snapshot.hash).toBe(second.snapshot.hash)
    await pipeline.clock.sleep(1)
    await keepSnapshot(pipeline, await chooseSnapshot(pipeline, 'built-in'), true)
    expect((await chooseSnapshot(other, 'pinned')).snapshot.hash).toBe(builtIn.hash)
    expect((await chooseSnapshot(other, first.snapshot.hash)).snapshot.hash).toBe(first.snapshot.hash)
  })

  it('is a change of the configuration where it is another one', async () => {
    const pipeline = await pipelineWith(2)
    await run(pipeline)
    await writeDemonstrations(pipeline, made(0, 30))
    const { snapshot, record } = await makeSnapshot(pipeline, null)
    await keepSnapshot(pipeline, { snapshot, record }, true)
    await writeArticles(pipeline, [article(7)])
    await expect(run(pipeline)).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringContaining(`situate: snapshot was "${builtIn.hash}", is "${snapshot.hash}"`),
    })
    await run(pipeline, { demonstrations: 'built-in' })
    await writeArticles(pipeline, [article(8)])
    await run(pipeline, {}, { acceptChange: true })
    const situations = await readRecords(pipeline, 'situation')
    expect(situations.map(({ provenance }) => provenance.snapshot)).toEqual([
      ...[1, 2, 3].map(() => builtIn.hash),
      snapshot.hash,
    ])
  })

  it('is one of the end of the topic, at offsets that are kept, where it is asked for live', async () => {
    const pipeline = await pipelineWith(1)
    await writeDemonstrations(pipeline, made(0, 26))
    await run(pipeline, { demonstrations: 'live' })
    const [live] = await listSnapshots(pipeline)
    expect(live).toMatchObject({ demonstrations: 26, ends: [26], live: true, pinned: 0 })
    const [situation] = await readRecords(pipeline, 'situation')
    expect(situation?.provenance.snapshot).toBe(live?.id)
    expect((await chooseSnapshot(pipeline, 'pinned')).snapshot.hash).toBe(builtIn.hash)
    expect((await readSnapshot(pipeline, live?.id ?? '')).demonstrations).toHaveLength(26)
  })

  it('is another one in each run where it is asked for live, and every record tells from which it was shown', async () => {
    const pipeline = await pipelineWith(1)
    await writeDemonstrations(pipeline, made(0, 26))
    await run(pipeline, { demonstrations: 'live' })
    await writeDemonstrations(pipeline, made(26, 40))
    await writeArticles(pipeline, [article(7)])
    await run(pipeline, { demonstrations: 'live' })
    const known = await listSnapshots(pipeline)
    expect(known.map(({ demonstrations, ends, live }) => ({ demonstrations, ends, live }))).toEqual(
      expect.arrayContaining([26, 40].map(count => ({ demonstrations: count, ends: [count], live: true }))),
    )
    const situations = await readRecords(pipeline, 'situation')
    const shown = situations.map(({ provenance }) => provenance.snapshot)
    expect(new Set(shown)).toEqual(new Set(known.map(({ id }) => id)))
    for (const { provenance } of situations) expect((await sentMessages(pipeline, provenance)).matches).toBe(true)
  })

  it('is a change of the configuration where it was pinned and is to be live, or the other way round', async () => {
    const pipeline = await pipelineWith(1)
    await run(pipeline)
    await writeArticles(pipeline, [article(7)])
    await expect(run(pipeline, { demonstrations: 'live' })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringContaining(`situate: snapshot was "${builtIn.hash}", is "live"`),
    })
    await run(pipeline, { demonstrations: 'live' }, { acceptChange: true })
    await expect(run(pipeline)).rejects.toMatchObject({
      message: expect.stringContaining(`situate: snapshot was "live", is "${builtIn.hash}"`),
    })
  })

  it('is refused where its hash is none', async () => {
    const pipeline = await memoryPipeline()
    await expect(chooseSnapshot(pipeline, 'f'.repeat(32))).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining('there is no such snapshot'),
    })
    const { problems } = readConfig({ demonstrations: 'latest' }, {})
    expect(problems).toEqual([expect.stringContaining('--demonstrations')])
  })
})

describe('what was sent', () => {
  it('is made again byte for byte for an old record after prompt and pool have changed', async () => {
    const pipeline = await pipelineWith(3)
    await run(pipeline)
    await writeDemonstrations(pipeline, made(0, 30))
    await keepSnapshot(pipeline, await makeSnapshot(pipeline, null), true)
    await writeArticles(pipeline, [article(7)])
    await run(pipeline, {}, { acceptChange: true })
    const records = [...(await readRecords(pipeline, 'situation')), ...(await readRecords(pipeline, 'instruction'))]
    const snapshots = new Set(records.map(({ provenance }) => provenance?.snapshot))
    expect(records).toHaveLength(8)
    expect(snapshots.size).toBe(2)
    for (const { provenance } of records) {
      if (!provenance) throw new Error('a record without provenance')
      expect((await sentMessages(pipeline, provenance)).matches).toBe(true)
    }
  })

  it('shows how many demonstrations fitted', async () => {
    const pipeline = await pipelineWith(6)
    await run(pipeline)
    const [stage] = chooseStages(firstLine([]), ['situate'])
    if (!stage) throw new Error('no such stage')
    const counts = await countShown(pipeline, stage)
    expect(counts.records).toBe(6)
    expect(counts.median).toBeGreaterThanOrEqual(5)
    expect(Object.values(counts.histogram).reduce((sum, count) => sum + count)).toBe(6)
  })

  it('begins alike for records of one window, so that a prefix cache hits', async () => {
    const pipeline = await pipelineWith(8)
    const { config } = readConfig({ model: 'stand-in' }, {})
    const situate = { ...config.operators.situate, options: { ...config.operators.situate?.options, window: 2 } }
    const own = { ...config, operators: { ...config.operators, situate } } as typeof config
    const bindings = bindStages(chooseStages(firstLine([]), ['dedupe-document', 'situate']), own)
    await new Run(pipeline, { ...defaults, bindings }, silent).work()
    const situations = await readRecords(pipeline, 'situation')
    const texts = await Promise.all(
      situations.map(async ({ provenance }) => {
        const { messages, matches } = await sentMessages(pipeline, provenance)
        expect(matches).toBe(true)
        return messages.map(({ content }) => content).join('\n')
      }),
    )
    const prefixes = texts.map(text => text.slice(0, text.indexOf('## The document to work from')))
    expect(new Set(prefixes).size).toBe(2)
    expect(prefixes[0]?.length).toBeGreaterThan(15_000)
    const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
    expect(status.differences).toEqual([])
  })
})
