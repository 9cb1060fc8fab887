import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { bindStages } from '../../../streams/bind.ts'
import { chooseStages, firstLine } from '../../../streams/chain/main-line.ts'
import { systemClock } from '../../../streams/clock.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { createEmbedder } from '../../../streams/embedders/index.ts'
import { OpenAiEmbedder } from '../../../streams/embedders/openai.ts'
import { Run } from '../../../streams/run.ts'
import { ModelCalls } from '../../../streams/spending/model-calls.ts'
import { FakeProvider } from '../../fake-provider.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../../support/pipeline.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const signal = new AbortController().signal
const texts = ['The river froze.', 'Knead the dough.', 'The river froze over.']

let provider: FakeProvider
afterEach(async () => provider.close())

function embedder(parameters = {}): OpenAiEmbedder {
  const options = { endpoint: 'near', baseUrl: provider.url, apiKey: 'none', model: 'embed', timeoutMs: 5_000 }
  return new OpenAiEmbedder({ ...options, parameters })
}

function inputOf(request: object): string[] {
  return (request as { input: string[] }).input
}

describe('embeddings of an endpoint', () => {
  it('are vectors of length 1 in the order of the texts, asked for in batches', async () => {
    provider = await FakeProvider.start()
    const many = Array.from({ length: 70 }, (_, index) => `${texts[index % 3]} ${index}`)
    const own = embedder()
    const vectors = await own.embed(many, signal)
    expect(vectors).toHaveLength(70)
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
    const [alone] = await own.embed([many[69] ?? ''], signal)
    expect(alone).toEqual(vectors[69])
    expect(provider.calls.map(({ path, request }) => [path, inputOf(request).length])).toEqual([
      ['/v1/embeddings', 32],
      ['/v1/embeddings', 32],
      ['/v1/embeddings', 6],
      ['/v1/embeddings', 1],
    ])
    expect(own.dimensions).toBe(256)
  })

  it('take the parameters of the model, which count in the name', async () => {
    provider = await FakeProvider.start()
    const own = embedder({ dimensions: 16 })
    expect(own).toMatchObject({ name: 'embed-16', dimensions: 16 })
    expect((await own.embed(texts, signal)).map(({ length }) => length)).toEqual([16, 16, 16])
  })

  it('fail with the errors of model calls', async () => {
    provider = await FakeProvider.start(() => ({ kind: 'status', status: 429, body: '{}' }))
    await expect(embedder().embed(texts, signal)).rejects.toMatchObject({ code: 'MODEL_RATE_LIMITED' })
  })

  it('are refused where they are not one for each text', async () => {
    const data = [{ index: 0, embedding: [1, 0] }]
    provider = await FakeProvider.start(() => ({ kind: 'raw', body: JSON.stringify({ data }) }))
    await expect(embedder().embed(texts, signal)).rejects.toMatchObject({
      code: 'MODEL_RESPONSE_BROKEN',
      message: expect.stringContaining('1 embeddings of one length for 3 texts'),
    })
  })
})

describe('an embedding that is no direction', () => {
  it.each([
    ['zeros', [0, 0, 0]],
    ['what are no numbers', Buffer.from(Float32Array.of(Number.NaN, 1, 0).buffer).toString('base64')],
  ])('is refused: one of %s', async (_name, embedding) => {
    const data = [
      { index: 0, embedding: [1, 0, 0] },
      { index: 1, embedding },
    ]
    provider = await FakeProvider.start(() => ({ kind: 'raw', body: JSON.stringify({ data }) }))
    await expect(embedder().embed(texts.slice(0, 2), signal)).rejects.toMatchObject({
      code: 'MODEL_RESPONSE_BROKEN',
      message: expect.stringContaining('1 of 2 embeddings are no direction'),
    })
  })
})

describe('a run that draws the nearest', () => {
  let folder: string
  afterEach(() => removeFolder(folder))

  async function work(number: number, model = 'embed') {
    const file = join(folder, 'situ.config.yaml')
    const models = { near: { baseUrl: provider.url, model } }
    writeFileSync(file, JSON.stringify({ models, operators: { situate: { draw: 'nearest', demonstrations: 3 } } }))
    const flags = { config: file, data: folder, model: 'stand-in', embedder: 'near' }
    const { config, problems } = readConfig(flags, {})
    expect(problems).toEqual([])
    const pipeline = await memoryPipeline()
    await writeArticles(
      pipeline,
      Array.from({ length: number }, (_, index) => `${texts[index % 3]} ${index} `.repeat(40)),
    )
    const bindings = bindStages(chooseStages(firstLine([]), ['dedupe-document', 'situate']), config)
    const calls = await ModelCalls.open(bindings, { config, clock: systemClock, log: silent })
    if (!calls) throw new Error('no calls are kept')
    try {
      await new Run(pipeline, { ...defaults, bindings, callerOf: () => calls.caller }, silent).work()
    } finally {
      await calls.close(0)
    }
    return readRecords(pipeline, 'situation')
  }

  it('asks for the vectors through the layers of all calls: none is paid twice', async () => {
    folder = temporaryFolder()
    provider = await FakeProvider.start()
    const first = await work(4)
    // One for the snapshot of 24, one for each document.
    expect(provider.calls.map(({ request }) => inputOf(request).length).sort()).toEqual([1, 1, 1, 1, 24])
    const second = await work(6)
    expect(provider.calls).toHaveLength(7)
    const shown = (records: typeof first) =>
      new Map(records.map(({ document, provenance }) => [document.id, provenance.demonstrations.join()]))
    for (const [document, demonstrations] of shown(first)) expect(shown(second).get(document)).toBe(demonstrations)
    expect([...shown(second).values()].every(demonstrations => demonstrations !== '')).toBe(true)
  })

  it.each([429, 503])('asks again where the endpoint answers %s: no document fails for it', async status => {
    folder = temporaryFolder()
    provider = await FakeProvider.start((_, call) =>
      call > 1 && call < 4 ? { kind: 'status', status } : { kind: 'ok' },
    )
    expect(await work(4, `embed-${status}`)).toHaveLength(4)
    expect(provider.calls).toHaveLength(7)
  })

  it('takes the built-in vectors where no embedder is configured', () => {
    folder = temporaryFolder()
    const { config } = readConfig({}, {})
    expect(createEmbedder(config).name).toBe('hashed-ngrams-1024')
    const { config: other } = readConfig({ embedder: 'unknown' }, {})
    expect(() => createEmbedder(other)).toThrow('unknown model unknown')
  })
})
