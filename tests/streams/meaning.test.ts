import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import type { Dropped, Noun, Records } from '../../schemas/records.ts'
import { bindStages } from '../../streams/bind.ts'
import { systemClock } from '../../streams/clock.ts'
import { type Config, readConfig } from '../../streams/config.ts'
import { Estimation } from '../../streams/estimate/estimate.ts'
import { ingestRecords } from '../../streams/ingest-records.ts'
import { ancestors, findRecord } from '../../streams/inspect/lineage.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import { chooseStages, extendMainLine, firstLine, wantedOperators } from '../../streams/main-line.ts'
import { openPipeline, type Pipeline } from '../../streams/pipeline.ts'
import { promote } from '../../streams/promotion.ts'
import { prepareReplay, stagesThrough } from '../../streams/replay.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { directCaller } from '../../streams/spending/caller.ts'
import { ModelCalls } from '../../streams/spending/model-calls.ts'
import { layOut, partitionOf, type Stage } from '../../streams/topology.ts'
import { MemoryLog } from '../../streams/transports/memory.ts'
import { readVariants } from '../../streams/variants.ts'
import { FakeProvider } from '../fake-provider.ts'
import { randomFrom, words } from '../operators/dedup/planted-texts.ts'
import { defaults, fasterClock, memoryPipeline, silent } from '../support/pipeline.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'

const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

const names = ['dedupe-real', 'embed-real', 'dedupe-meaning'] as const
const { config } = readConfig({ data: folder }, {})

/** The same words three times, in orders that have no run of three words in common. */
function family(number: number): [string, string, string] {
  const own = words(randomFrom(number), 14)
  const [even, odd] = [0, 1].map(rest => own.filter((_, at) => at % 2 === rest))
  const text = (all: readonly string[] = []) => `Explain ${all.join(' ')}.`
  return [text(own), text([...own].reverse().concat('also')), text([...(odd ?? []), 'thus', ...(even ?? [])])]
}

const families = [1, 2, 3, 4, 5, 6]

async function write(pipeline: Pipeline, texts: readonly string[]): Promise<void> {
  const { transport, serde, partitions } = pipeline
  await transport.produce(
    texts.map(content => {
      const item = { kind: 'item', content, format: 'text', url: null, title: null, place: null, source: 'x' } as const
      const record = ingestRecords['real-instruction'](item)
      const partition = partitionOf('real-instruction', record, partitions)
      return { topic: 'real-instruction', partition, key: record.id, ...serde.encode('real-instruction', record) }
    }),
  )
}

async function read<N extends Noun>({ transport, serde, partitions }: Pipeline, noun: N, topic: string = noun) {
  const found: { partition: number; record: Records[N] }[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) found.push({ partition, record: await serde.decode(noun, value) })
    }
  }
  return found
}

const meaningDrops = async (pipeline: Pipeline) =>
  (await read(pipeline, 'dropped')).map(({ record }) => record).filter(({ operator }) => operator === 'dedupe-meaning')

interface Work {
  only?: readonly string[]
  config?: Config
  options?: Partial<RunOptions>
}

async function work(pipeline: Pipeline, { only = names, config: own = config, options = {} }: Work = {}) {
  const line = await extendMainLine(pipeline, own, wantedOperators(names, own))
  const bindings = bindStages(chooseStages(line, only), own)
  const calls = await ModelCalls.open(bindings, { config: own, clock: systemClock, log: silent })
  try {
    await new Run(
      pipeline,
      { ...defaults, bindings, ...(calls && { callerOf: () => calls.caller }), ...options },
      silent,
    ).work()
  } finally {
    await calls?.close(0)
  }
  return sums(pipeline)
}

async function sums(pipeline: Pipeline) {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  expect(status.differences).toEqual([])
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  expect(differences.filter(line => !line.startsWith('ingest: '))).toEqual([])
  return status.operators
}

/** Two of one family are not both kept, whatever came first, and none is without one. */
function expectOneOfEach(kept: readonly string[], of = families): void {
  const counts = of.map(number => kept.filter(text => family(number).includes(text)).length)
  expect(counts).toEqual(of.map(() => 1))
}

describe('near-duplicates by meaning', () => {
  it('have their place behind dedupe-real, and stand in for what it writes', () => {
    const inputs = (wanted: Parameters<typeof firstLine>[0]) =>
      firstLine(wanted)
        .map(({ name, input, output }) => `${name}: ${input} > ${output}`)
        .slice(5)
    expect(inputs([...names, 'decontaminate-real', 'score-real', 'conceive'])).toEqual([
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
    await write(pipeline, families.flatMap(family))
    const operators = await work(pipeline)
    expect(operators['dedupe-real']).toMatchObject({ in: 18, done: 18 })
    expect(operators['dedupe-meaning']).toMatchObject({ in: 18, done: 6, dropped: { near_duplicate: 12 } })
    const embedded = await read(pipeline, 'embedded')
    expect(new Set(embedded.map(({ partition }) => partition))).toEqual(new Set([0]))
    const unique = await read(pipeline, 'unique')
    expectOneOfEach(unique.map(({ record }) => record.text))
    // What is kept is shared out again.
    expect(new Set(unique.map(({ partition }) => partition)).size).toBeGreaterThan(partitions > 1 ? 1 : 0)
    const kept = new Map(unique.map(({ record }) => [record.input.id, record.text]))
    for (const { twin, similarity } of await meaningDrops(pipeline)) {
      expect(kept.has(twin ?? '')).toBe(true)
      expect(similarity).toBeGreaterThanOrEqual(0.85)
      expect(similarity).toBeLessThan(1)
    }
    const way = await ancestors(pipeline, (await findRecord(pipeline, unique[0]?.record.id ?? '')) ?? never())
    expect(way.map(({ topic }) => topic)).toEqual(['embedded', 'distinct', 'real-instruction'])
  })

  it('are the same in every ordered run, whatever the embedder takes', async () => {
    const texts = async () => {
      const pipeline = await memoryPipeline()
      await write(pipeline, families.flatMap(family))
      await work(pipeline, { options: { ordered: true } })
      return (await read(pipeline, 'unique')).map(({ record }) => record)
    }
    const [first, second] = [await texts(), await texts()]
    expect(second).toEqual(first)
    expect(first.map(({ text }) => text)).toEqual(families.map(number => family(number)[0]))
  })

  it('meet those of earlier runs, which are read back from the topic of the state', async () => {
    const log = new MemoryLog()
    const first = await memoryPipeline(log)
    await write(
      first,
      families.map(number => family(number)[0]),
    )
    await work(first)
    await first.close()
    const second = await memoryPipeline(log)
    await write(
      second,
      families.map(number => family(number)[1]),
    )
    const operators = await work(second)
    expect(operators['dedupe-meaning']).toMatchObject({ in: 12, done: 6, dropped: { near_duplicate: 6 } })
    expect(await read(second, 'unique')).toHaveLength(6)
  })

  it('are not missed where a commit failed: what it would have kept counts for nobody', async () => {
    const pipeline = await memoryPipeline()
    await write(pipeline, families.flatMap(family))
    await work(pipeline, { only: ['dedupe-real', 'embed-real'] })
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
    await expect(work(pipeline, { only: ['dedupe-meaning'] })).rejects.toThrow('no space left')
    expect(await read(pipeline, 'unique')).toEqual([])
    await work(pipeline, { only: ['dedupe-meaning'] })
    expectOneOfEach((await read(pipeline, 'unique')).map(({ record }) => record.text))
  })
})

function never(): never {
  throw new Error('not found')
}

describe('the embedder', () => {
  let provider: FakeProvider
  afterEach(() => provider?.close())

  /** A configuration with two models for embeddings. */
  function withModels(embedder: string, more: object = {}): Config {
    const file = join(folder, 'situ.config.yaml')
    const price = { input: 10, output: 0 }
    const models = {
      near: { baseUrl: provider.url, model: 'near', price, ...more },
      other: { baseUrl: provider.url, model: 'other', price, parameters: { dimensions: 64 } },
    }
    writeFileSync(file, JSON.stringify({ models }))
    const { config, problems } = readConfig({ config: file, data: temporaryFolder(), embedder }, {})
    expect(problems).toEqual([])
    return config
  }

  it('of an endpoint is asked once a record, through cache, limits and budget; its calls are told and counted', async () => {
    provider = await FakeProvider.start(() => ({ kind: 'ok', latencyMs: 10 }))
    const own = withModels('near')
    const pipeline = await memoryPipeline()
    await write(pipeline, families.flatMap(family))
    const operators = await work(pipeline, { config: own })
    expect(provider.calls.map(({ path }) => path)).toEqual(Array(18).fill('/v1/embeddings'))
    expect(provider.maxOpen).toBeGreaterThan(1)
    const [spent] = operators['embed-real']?.spent ?? []
    expect(spent).toMatchObject({ model: 'near', prompt: null, inputs: 18, calls: 18, fromCache: 0, unpriced: 0 })
    const embedded = await read(pipeline, 'embedded')
    for (const { record } of embedded) {
      expect(record.embedding).toMatchObject({ embedder: 'near', dimensions: 256 })
      expect(record.provenance).toMatchObject({
        operator: 'embed-real',
        model: 'near',
        attempts: [{ code: null, fromCache: false }],
        input: { topic: 'distinct' },
      })
    }
    const [first] = embedded
    const sent = first?.record.provenance && (await sentMessages(pipeline, first.record.provenance))
    expect(sent).toEqual({ messages: [{ role: 'user', content: first?.record.text }], matches: true })
    const costs = embedded.reduce((sum, { record }) => sum + (record.provenance?.costUsd ?? Number.NaN), 0)
    expect(costs).toBeCloseTo(spent?.costUsd ?? 0, 9)
    const again = await memoryPipeline()
    await write(again, families.flatMap(family))
    const second = await work(again, { config: own })
    expect(provider.calls).toHaveLength(18)
    expect(second['embed-real']?.spent).toMatchObject([{ calls: 0, fromCache: 18 }])
    expect(second['dedupe-meaning']).toMatchObject({ done: operators['dedupe-meaning']?.done })
  })

  it('that fails is asked again, and no record is lost for it', async () => {
    const refusal = { kind: 'status', status: 429, body: '{}', retryAfter: '0' } as const
    provider = await FakeProvider.start((_request, call) => (call === 3 ? refusal : { kind: 'ok' }))
    const pipeline = await memoryPipeline()
    await write(pipeline, families.flatMap(family))
    const operators = await work(pipeline, { config: withModels('near') })
    expect(operators['embed-real']).toMatchObject({ in: 18, done: 18, failed: {} })
    const attempts = (await read(pipeline, 'embedded')).flatMap(({ record }) => record.provenance?.attempts ?? [])
    expect(attempts.filter(({ code }) => code === 'MODEL_RATE_LIMITED').length).toBeGreaterThan(0)
  })

  it('that takes less than the instruction is asked with a shorter one', async () => {
    const limit = 300
    provider = await FakeProvider.start(request => {
      const [text = ''] = (request as unknown as { input: string[] }).input
      if (text.length <= limit * 5) return { kind: 'ok' }
      const message = `This model's maximum context length is ${limit} tokens`
      return { kind: 'status', status: 400, body: { error: { message } } }
    })
    const pipeline = await memoryPipeline()
    const text = `Sum this up. ${'The ferry left the harbour at nine. '.repeat(100)}`
    await write(pipeline, [text])
    const operators = await work(pipeline, { config: withModels('near') })
    expect(operators['embed-real']).toMatchObject({ done: 1, failed: {} })
    const [first] = await read(pipeline, 'embedded')
    expect(first?.record.provenance?.attempts.map(({ code }) => code)).toEqual(['MODEL_CONTEXT_EXCEEDED', null])
    expect(first?.record.text).toBe(text)
    const sent = first?.record.provenance && (await sentMessages(pipeline, first.record.provenance))
    expect(sent).toMatchObject({ matches: true })
    expect(sent?.messages[0]?.content.length).toBeLessThan(text.length / 2)
  })

  it('is part of what both stages depend on: another one stops the run', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await write(pipeline, family(1))
    await work(pipeline)
    await expect(work(pipeline, { config: withModels('near') })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringMatching(
        /embed-real: embedder was "hashed-ngrams-1024", is "near"\n[\s\S]*dedupe-meaning: embedder was/,
      ),
    })
    await expect(work(pipeline, { config: withModels('near'), only: ['dedupe-meaning'] })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
    })
  })

  it('whose vectors are not those of the state is refused, though the change is accepted', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await write(pipeline, family(1))
    await work(pipeline)
    const own = withModels('other')
    const accepted = { config: own, options: { acceptChange: true } }
    await expect(work(pipeline, { ...accepted, only: ['dedupe-meaning'] })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringMatching(
        /signature of \w+ was written by the engine "cosine\/1 embedder=hashed-ngrams-1024 dimensions=1024", and this is "cosine\/1 embedder=other-64 /,
      ),
    })
    // What it had embedded meanwhile can't be compared, and is kept as a dead letter by the stage as it was.
    await write(pipeline, ['How long must a rye loaf rise before it is baked in a stone oven?'])
    await work(pipeline, { ...accepted, only: ['dedupe-real', 'embed-real'] })
    const operators = await work(pipeline, { only: ['dedupe-meaning'] })
    expect(operators['dedupe-meaning']).toMatchObject({ in: 4, done: 1, failed: { RECORD_INVALID: 1 } })
  })

  it('may be another one beside: a variant of both stages has a state of its own', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await write(pipeline, families.flatMap(family))
    await work(pipeline)
    const own = withModels('other')
    const line = layOut((await readVariants(pipeline)).main.stages, [])
    const [first] = chooseStages(line, ['embed-real'])
    const bindings = await prepareReplay(pipeline, own, {
      variant: 'other',
      range: { from: null, until: null, limit: null },
      bindings: bindStages(stagesThrough(first ?? never(), 'dedupe-meaning', line), own),
    })
    await new Run(pipeline, { ...defaults, bindings }, silent).work()
    await promote(pipeline, config, 'other')
    const main: readonly Stage[] = (await readVariants(pipeline)).main.stages
    expect(main.filter(({ variant }) => variant === 'other').map(({ output }) => output)).toEqual([
      'embedded.other',
      'unique.other',
    ])
    const embedded = await read(pipeline, 'embedded', 'embedded.other')
    expect(embedded.map(({ record }) => record.embedding.dimensions)).toEqual(Array(18).fill(64))
    expect((await read(pipeline, 'unique', 'unique.other')).length).toBeGreaterThan(0)
    await sums(pipeline)
  })

  it('that is asked is in the forecast: its prompts are counted, and a sample pays for its own', async () => {
    provider = await FakeProvider.start()
    const own = withModels('near')
    const pipeline = await memoryPipeline()
    await write(pipeline, families.flatMap(family))
    await work(pipeline, { only: ['dedupe-real'] })
    const line = await extendMainLine(pipeline, own, wantedOperators(names, own))
    const bindings = bindStages(chooseStages(line, ['embed-real', 'dedupe-meaning']), own)
    const options = { bindings, pipeline, config: own, log: silent, retry: defaults.retry, seed: 1, limit: null }
    const signal = new AbortController().signal
    const counted = await Estimation.begin({ ...options, sample: 0, signal })
    const forecast = await counted.withoutCalls()
    await counted.close()
    expect(forecast.stages['embed-real']).toMatchObject({ model: 'near', cost: { calls: { value: 18 } } })
    expect(forecast.stages['embed-real']?.cost?.completionTokens.high).toBe(0)
    expect(forecast.total.usd.value).toBeGreaterThan(0)
    expect(forecast.stages['dedupe-meaning']).toMatchObject({ model: null, cost: null })
    expect(provider.calls).toEqual([])
    const sampled = await Estimation.begin({ ...options, sample: 6, signal })
    expect(await sampled.withSample(() => directCaller)).toMatchObject({ sampled: 6, paid: { calls: 6 } })
    await sampled.close()
    expect(provider.calls).toHaveLength(6)
  })

  it('has no failover: the vectors of another model could not be compared', () => {
    expect(() => bindStages(firstLine([...names]).slice(-2), withModels('near', { failover: 'other' }))).toThrow(
      'models.near.failover other: an embedder has none',
    )
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
    expect((await situ(['run', ...names, 'conceive', ...flags])).stderr).toContain(
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
    const run = ['run', ...names, '--embedder', 'near', '--yes', '--concurrency', '4', ...flags]
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
      const kept = (await read(pipeline, 'unique')).map(({ record }) => record)
      expectOneOfEach(
        kept.map(({ text }) => text),
        many,
      )
      const twins = (await meaningDrops(pipeline)).map(({ twin }: Dropped) => twin)
      expect(twins).toHaveLength(80)
      for (const twin of twins) expect(kept.map(({ input: { id } }) => id)).toContain(twin)
    } finally {
      await pipeline.close()
    }
    // At most those in flight at a kill were asked again: four of each of two tasks.
    expect(provider.calls.length).toBeLessThanOrEqual(120 + 3 * 8)
  }, 60_000)
})
