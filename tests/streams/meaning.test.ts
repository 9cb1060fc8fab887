import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { firstLine } from '../../streams/chain/main-line.ts'
import { readConfig } from '../../streams/config/config.ts'
import { ancestors, findRecord } from '../../streams/inspect/lineage.ts'
import { openPipeline } from '../../streams/pipeline.ts'
import { MemoryLog } from '../../streams/transports/memory.ts'
import { FakeProvider } from '../fake-provider.ts'
import {
  expectOneOfEach,
  families,
  family,
  meaningDrops,
  meaningStages,
  readAllOf,
  workMeaning,
  writeRealInstructions,
} from '../support/meaning.ts'
import { fasterClock, memoryPipeline } from '../support/pipeline.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'

const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

const { config } = readConfig({ data: folder }, {})

describe('near-duplicates by meaning', () => {
  it('have their place behind dedupe-real, and stand in for what it writes', () => {
    const inputs = (wanted: Parameters<typeof firstLine>[0]) =>
      firstLine(wanted)
        .map(({ name, input, output }) => `${name}: ${input} > ${output}`)
        .slice(5)
    expect(inputs([...meaningStages, 'decontaminate-real', 'score-real', 'conceive'])).toEqual([
      'dedupe-real: real-instruction > distinct',
      'embed-real: distinct > embedded',
      'dedupe-meaning: embedded > unique',
      'decontaminate-real: unique > decontaminated-real',
      'score-real: decontaminated-real > chosen',
      'conceive: chosen > concept',
    ])
    expect(inputs(['dedupe-real', 'embed-real', 'conceive']).at(-1)).toBe('conceive: embedded > concept')
    expect(inputs(['dedupe-real', 'score-real', 'conceive']).at(-1)).toBe('conceive: chosen > concept')
  })

  it.each([1, 3])('are dropped with the kept one as twin, over %i partitions', async partitions => {
    const pipeline = await memoryPipeline(new MemoryLog(), fasterClock(50), partitions)
    await writeRealInstructions(pipeline, families.flatMap(family))
    const operators = await workMeaning(pipeline, config)
    expect(operators['dedupe-real']).toMatchObject({ in: 18, done: 18 })
    expect(operators['dedupe-meaning']).toMatchObject({ in: 18, done: 6, dropped: { near_duplicate: 12 } })
    const embedded = await readAllOf(pipeline, 'embedded')
    expect(new Set(embedded.map(({ partition }) => partition))).toEqual(new Set([0]))
    const unique = await readAllOf(pipeline, 'unique')
    expectOneOfEach(unique.map(({ record }) => record.text))
    // What is kept is shared out again.
    expect(new Set(unique.map(({ partition }) => partition)).size).toBeGreaterThan(partitions > 1 ? 1 : 0)
    const kept = new Map(unique.map(({ record }) => [record.input.id, record.text]))
    for (const { twin, similarity } of await meaningDrops(pipeline)) {
      expect(kept.has(twin ?? '')).toBe(true)
      expect(similarity).toBeGreaterThanOrEqual(0.85)
      expect(similarity).toBeLessThan(1)
    }
    const found = await findRecord(pipeline, unique[0]?.record.id ?? '')
    const way = found ? await ancestors(pipeline, found) : []
    expect(way.map(({ topic }) => topic)).toEqual(['embedded', 'distinct', 'real-instruction'])
  })

  it('are the same in every ordered run, whatever the embedder takes', async () => {
    const texts = async () => {
      const pipeline = await memoryPipeline()
      await writeRealInstructions(pipeline, families.flatMap(family))
      await workMeaning(pipeline, config, { options: { ordered: true } })
      return (await readAllOf(pipeline, 'unique')).map(({ record }) => record)
    }
    const [first, second] = [await texts(), await texts()]
    expect(second).toEqual(first)
    expect(first.map(({ text }) => text)).toEqual(families.map(number => family(number)[0]))
  })

  it('meet those of earlier runs, which are read back from the topic of the state', async () => {
    const log = new MemoryLog()
    const first = await memoryPipeline(log)
    await writeRealInstructions(
      first,
      families.map(number => family(number)[0]),
    )
    await workMeaning(first, config)
    await first.close()
    const second = await memoryPipeline(log)
    await writeRealInstructions(
      second,
      families.map(number => family(number)[1]),
    )
    const operators = await workMeaning(second, config)
    expect(operators['dedupe-meaning']).toMatchObject({ in: 12, done: 6, dropped: { near_duplicate: 6 } })
    expect(await readAllOf(second, 'unique')).toHaveLength(6)
  })

  it('are not missed where a commit failed: what it would have kept counts for nobody', async () => {
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, families.flatMap(family))
    await workMeaning(pipeline, config, { only: ['dedupe-real', 'embed-real'] })
    const { transport } = pipeline
    const { join } = transport
    let commits = 0
    transport.join = (tasks, assigned) =>
      join.call(transport, tasks, claim => {
        const commit = claim.commit.bind(claim)
        claim.commit = (messages, ...rest) => {
          if (messages.length > 0 && commits++ === 0) throw new Error('no space left')
          return commit(messages, ...rest)
        }
        assigned(claim)
      })
    await expect(workMeaning(pipeline, config, { only: ['dedupe-meaning'] })).rejects.toThrow('no space left')
    expect(await readAllOf(pipeline, 'unique')).toEqual([])
    await workMeaning(pipeline, config, { only: ['dedupe-meaning'] })
    expectOneOfEach((await readAllOf(pipeline, 'unique')).map(({ record }) => record.text))
  })
})

describe('situ replay', () => {
  it('puts both stages beside a line that has worked without them, by --through, and a promotion in it', async () => {
    const data = join(folder, 'replayed')
    const input = join(folder, 'few.jsonl')
    const rows = families.flatMap(family).map(text => JSON.stringify({ text }))
    writeFileSync(input, rows.join('\n'))
    const flags = ['--data', data, '--model', 'stand-in']
    await mustSitu(['ingest', input, '--as', 'real-instruction', '--data', data])
    await mustSitu(['run', 'dedupe-real', 'conceive', ...flags])
    expect((await situ(['run', ...meaningStages, 'conceive', ...flags])).stderr).toContain(
      'conceive has worked distinct without',
    )
    const through = ['--through', 'dedupe-meaning', '--data', data]
    await mustSitu(['replay', 'embed-real', '--variant', 'alike', ...through])
    await mustSitu(['variants', 'promote', 'alike', '--data', data])
    await mustSitu(['run', 'conceive', ...flags])
    const { operators, conservation } = JSON.parse(
      (await mustSitu(['topics', '--verify', '--json', '--data', data])).stdout,
    )
    expect(conservation).toBe('ok')
    expect(operators).toMatchObject({ 'dedupe-meaning': { in: 18, done: 6 }, conceive: { in: 6, done: 6 } })
  }, 60_000)
})

describe('situ run', () => {
  it('killed while vectors are made and compared keeps one of each, and pays for none twice', async () => {
    const data = join(folder, 'killed')
    await using provider = await FakeProvider.start(() => ({ kind: 'ok', latencyMs: 30 }))
    const many = Array.from({ length: 40 }, (_, number) => number)
    const input = join(folder, 'chats.jsonl')
    writeFileSync(
      input,
      many
        .flatMap(family)
        .map(text => JSON.stringify({ text }))
        .join('\n'),
    )
    const file = join(folder, 'killed.config.yaml')
    writeFileSync(file, JSON.stringify({ models: { near: { baseUrl: provider.url, model: 'near' } } }))
    const flags = ['--data', data, '--config', file]
    await mustSitu(['ingest', input, '--as', 'real-instruction', '--partitions', '2', ...flags])
    const run = ['run', ...meaningStages, '--embedder', 'near', '--yes', '--concurrency', '4', ...flags]
    for (const calls of [20, 60, 95]) {
      const killed = new Situ(run)
      await provider.arrived(calls)
      killed.child.kill('SIGKILL')
      await killed.done
    }
    await mustSitu(run)
    const { code, stdout } = await mustSitu(['topics', '--verify', '--json', '--data', data])
    expect(code).toBe(0)
    const { operators, conservation } = JSON.parse(stdout)
    expect(conservation).toBe('ok')
    expect(operators['embed-real']).toMatchObject({ in: 120, done: 120, failed: {} })
    const pipeline = await openPipeline(readConfig({ data }, {}).config, 'read')
    try {
      const kept = (await readAllOf(pipeline, 'unique')).map(({ record }) => record)
      expectOneOfEach(
        kept.map(({ text }) => text),
        many,
      )
      const twins = (await meaningDrops(pipeline)).map(({ twin }) => twin)
      expect(twins).toHaveLength(80)
      for (const twin of twins) expect(kept.map(({ input: { id } }) => id)).toContain(twin)
    } finally {
      await pipeline.close()
    }
    // At most those in flight at a kill were asked again: four of each of two tasks.
    expect(provider.calls.length).toBeLessThanOrEqual(120 + 3 * 8)
  }, 60_000)
})
