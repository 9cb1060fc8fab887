import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { bindStages } from '../../../streams/bind.ts'
import {
  chooseStages,
  extendMainLine,
  findStage,
  firstLine,
  wantedOperators,
} from '../../../streams/chain/main-line.ts'
import { promote } from '../../../streams/chain/promotion.ts'
import { prepareReplay, stagesThrough } from '../../../streams/chain/replay.ts'
import type { Stage } from '../../../streams/chain/topology.ts'
import { readVariants } from '../../../streams/chain/variants.ts'
import { type Config, readConfig } from '../../../streams/config/config.ts'
import { Estimation } from '../../../streams/estimate/estimate.ts'
import { sentMessages } from '../../../streams/inspect/sent-messages.ts'
import { Run } from '../../../streams/run.ts'
import { directCaller } from '../../../streams/spending/caller.ts'
import { FakeProvider } from '../../fake-provider.ts'
import {
  families,
  family,
  meaningStages,
  readAllOf,
  soundOperators,
  workMeaning,
  writeRealInstructions,
} from '../../support/meaning.ts'
import { defaults, memoryPipeline, silent } from '../../support/pipeline.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

const { config } = readConfig({ data: folder }, {})

describe('the embedder of the stages that compare by meaning', () => {
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
    await writeRealInstructions(pipeline, families.flatMap(family))
    const operators = await workMeaning(pipeline, own)
    expect(provider.calls.map(({ path }) => path)).toEqual(Array(18).fill('/v1/embeddings'))
    expect(provider.maxOpen).toBeGreaterThan(1)
    const [spent] = operators['embed-real']?.spent ?? []
    expect(spent).toMatchObject({ model: 'near', prompt: null, inputs: 18, calls: 18, fromCache: 0, unpriced: 0 })
    const embedded = await readAllOf(pipeline, 'embedded')
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
    await writeRealInstructions(again, families.flatMap(family))
    const second = await workMeaning(again, own)
    expect(provider.calls).toHaveLength(18)
    expect(second['embed-real']?.spent).toMatchObject([{ calls: 0, fromCache: 18 }])
    expect(second['dedupe-meaning']).toMatchObject({ done: operators['dedupe-meaning']?.done })
  })

  it('that fails is asked again, and no record is lost for it', async () => {
    const refusal = { kind: 'status', status: 429, body: '{}', retryAfter: '0' } as const
    provider = await FakeProvider.start((_request, call) => (call === 3 ? refusal : { kind: 'ok' }))
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, families.flatMap(family))
    const operators = await workMeaning(pipeline, withModels('near'))
    expect(operators['embed-real']).toMatchObject({ in: 18, done: 18, failed: {} })
    const attempts = (await readAllOf(pipeline, 'embedded')).flatMap(({ record }) => record.provenance?.attempts ?? [])
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
    await writeRealInstructions(pipeline, [text])
    const operators = await workMeaning(pipeline, withModels('near'))
    expect(operators['embed-real']).toMatchObject({ done: 1, failed: {} })
    const [first] = await readAllOf(pipeline, 'embedded')
    expect(first?.record.provenance?.attempts.map(({ code }) => code)).toEqual(['MODEL_CONTEXT_EXCEEDED', null])
    expect(first?.record.text).toBe(text)
    const sent = first?.record.provenance && (await sentMessages(pipeline, first.record.provenance))
    expect(sent).toMatchObject({ matches: true })
    expect(sent?.messages[0]?.content.length).toBeLessThan(text.length / 2)
  })

  it('is part of what both stages depend on: another one stops the run', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, family(1))
    await workMeaning(pipeline, config)
    await expect(workMeaning(pipeline, withModels('near'))).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringMatching(
        /embed-real: embedder was "hashed-ngrams-1024", is "near"\n[\s\S]*dedupe-meaning: embedder was/,
      ),
    })
    await expect(workMeaning(pipeline, withModels('near'), { only: ['dedupe-meaning'] })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
    })
  })

  it('whose vectors are not those of the state is refused, though the change is accepted', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, family(1))
    await workMeaning(pipeline, config)
    const own = withModels('other')
    const accepted = { options: { acceptChange: true } }
    await expect(workMeaning(pipeline, own, { ...accepted, only: ['dedupe-meaning'] })).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringMatching(
        /signature of \w+ was written by the engine "cosine\/1 embedder=hashed-ngrams-1024 dimensions=1024", and this is "cosine\/1 embedder=other-64 /,
      ),
    })
    // What it had embedded meanwhile can't be compared, and is kept as a dead letter by the stage as it was.
    await writeRealInstructions(pipeline, ['How long must a rye loaf rise before it is baked in a stone oven?'])
    await workMeaning(pipeline, own, { ...accepted, only: ['dedupe-real', 'embed-real'] })
    const operators = await workMeaning(pipeline, config, { only: ['dedupe-meaning'] })
    expect(operators['dedupe-meaning']).toMatchObject({ in: 4, done: 1, failed: { RECORD_INVALID: 1 } })
  })

  it('may be another one beside: a variant of both stages has a state of its own', async () => {
    provider = await FakeProvider.start()
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, families.flatMap(family))
    await workMeaning(pipeline, config)
    const own = withModels('other')
    const line = (await readVariants(pipeline)).main.stages
    const bindings = await prepareReplay(pipeline, own, {
      variant: 'other',
      range: { from: null, until: null, limit: null },
      bindings: bindStages(stagesThrough(findStage(line, 'embed-real'), 'dedupe-meaning', line), own),
    })
    await new Run(pipeline, { ...defaults, bindings }, silent).work()
    await promote(pipeline, config, 'other')
    const main: readonly Stage[] = (await readVariants(pipeline)).main.stages
    expect(main.filter(({ variant }) => variant === 'other').map(({ output }) => output)).toEqual([
      'embedded.other',
      'unique.other',
    ])
    const embedded = await readAllOf(pipeline, 'embedded', 'embedded.other')
    expect(embedded.map(({ record }) => record.embedding.dimensions)).toEqual(Array(18).fill(64))
    expect((await readAllOf(pipeline, 'unique', 'unique.other')).length).toBeGreaterThan(0)
    await soundOperators(pipeline)
  })

  it('that is asked is in the forecast: its prompts are counted, and a sample pays for its own', async () => {
    provider = await FakeProvider.start()
    const own = withModels('near')
    const pipeline = await memoryPipeline()
    await writeRealInstructions(pipeline, families.flatMap(family))
    await workMeaning(pipeline, config, { only: ['dedupe-real'] })
    const line = await extendMainLine(pipeline, own, wantedOperators(meaningStages, own))
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
    expect(() =>
      bindStages(firstLine([...meaningStages]).slice(-2), withModels('near', { failover: 'other' })),
    ).toThrow('models.near.failover other: an embedder has none')
  })
})
