import { describe, expect, it } from 'vitest'
import type { Model } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Concept, Records } from '../../schemas/records.ts'
import { bindStages, loadPrompt } from '../../streams/bind.ts'
import { chooseStages, extendMainLine } from '../../streams/chain/main-line.ts'
import type { Stage } from '../../streams/chain/topology.ts'
import type { Clock } from '../../streams/clock.ts'
import { type Config, readConfig } from '../../streams/config/config.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { createSearch } from '../../streams/searches/index.ts'
import type { OpenSearch, SearchSource } from '../../streams/searches/search.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { writeDocuments } from '../support/documents-topic.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'
import { temporaryFolder } from '../support/situ.ts'

const ferry = { title: 'Ice on the river', text: 'The ferry lay still for nine weeks because the river was frozen.' }
const bread = { title: 'Rye bread', text: 'A sourdough starter needs flour and water. Bake the bread in a hot oven.' }
const knots = { title: 'Knots', text: 'A bowline holds the ferry at the quay of the river.' }

function configure(more: object = {}): Config {
  const { config, problems } = readConfig({ data: temporaryFolder() }, {})
  expect(problems).toEqual([])
  return { ...config, ...more }
}

async function begin(keywords: readonly string[][], config: Config) {
  const pipeline = await memoryPipeline()
  const [stage] = chooseStages(await extendMainLine(pipeline, config, ['dedupe-real', 'conceive', 'retrieve']), [
    'retrieve',
  ])
  if (!stage) throw new Error('retrieve is not in the line')
  await writeConcepts(pipeline, keywords)
  return { pipeline, stage }
}

async function writeConcepts({ transport, serde }: Pipeline, keywords: readonly string[][]): Promise<void> {
  const messages = keywords.map((words, index) => {
    const id = `concept-${index}`
    const instruction = { id: `real-${index}`, text: 'When does the ferry go again?', language: 'en' }
    const input = { id, topic: 'real-instruction', partition: 0, offset: index }
    const attempts = {
      attempts: [],
      usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
      latencyMs: 0,
      time: 0,
    }
    const model = { operator: 'conceive', version: 1, configuration: 'x', model: 'fake', endpoint: 'fake' }
    const provenance = {
      ...model,
      ...attempts,
      parameters: '{}',
      seed: '',
      sample: 0,
      input,
    } as unknown as Concept['provenance']
    const concept = { id, instruction, document: null, intention: 'go', keywords: words, source: null, provenance }
    return { topic: 'concept', partition: 0, key: id, ...serde.encode('concept', concept) }
  })
  await transport.produce(messages)
}

function modelOf(reply: object): Model {
  return {
    endpoint: 'fake',
    model: 'fake',
    parameters: {},
    contextTokens: 32_768,
    replyTokens: 1_024,
    complete: async () => ({ text: JSON.stringify(reply), finishReason: 'stop', usage: null, model: 'fake' }),
  }
}

function bind(
  stage: Stage,
  config: Config,
  search: SearchSource = createSearch(config),
  model = modelOf({}),
): StageBinding {
  const options = config.operators.retrieve?.options ?? {}
  return new StageBinding(stage, options, { prompt: loadPrompt(stage), model, snapshot: null, search })
}

function work(pipeline: Pipeline, binding: StageBinding) {
  return new Run(pipeline, { ...defaults, bindings: [binding] }, silent).work()
}

/** Many pages, so that none is found before all are documents. */
const letters = Array.from({ length: 400 }, (_, number) => `Letter ${number} tells of the harvest of ${number}.`)

/** Works what makes documents and what looks for them in one run, without a judge. */
async function workWithDocuments(pipeline: Pipeline, stage: Stage, config: Config, options: Partial<RunOptions> = {}) {
  const own = { ...config.operators.retrieve?.options, judge: false, minimumRelevance: 0.2 }
  const search = createSearch(config)
  const looking = new StageBinding(stage, own, { prompt: null, model: null, snapshot: null, search })
  const making = bindStages(chooseStages(await extendMainLine(pipeline, config, []), ['dedupe-document']), config)
  const run = new Run(pipeline, { ...defaults, bindings: [...making, looking], ...options }, silent)
  return (await run.work()).counters
}

function failing(times: number, error: SituError): SearchSource & { asked: number; closed: number } {
  const source = {
    name: 'failing',
    isRemote: false,
    asked: 0,
    closed: 0,
    async open(): Promise<OpenSearch> {
      const find: OpenSearch['find'] = async () => {
        if (source.asked++ < times) throw error
        return []
      }
      const close = async () => {
        source.closed++
      }
      return { name: 'failing', find, close }
    },
  }
  return source
}

describe('retrieve in a run', () => {
  it('writes the document that the model takes, and the messages can be made again', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['frozen river', 'ferry']], config)
    const [, taken] = await writeDocuments(pipeline, [bread, ferry, knots])
    const model = modelOf({ thought: 'The ferry and the ice.', document: 1 })
    await work(pipeline, bind(stage, config, createSearch(config), model))
    const [grounding] = await readRecords(pipeline, 'grounding')
    expect(grounding).toMatchObject({
      document: { id: taken, title: ferry.title, text: ferry.text },
      input: { id: 'concept-0' },
    })
    expect(grounding?.relevance).toBeGreaterThan(0.45)
    const provenance = grounding?.provenance
    if (!provenance) return expect.unreachable('a model was asked')
    expect(provenance.demonstrations).toContain(taken)
    const { messages, matches } = await sentMessages(pipeline, provenance)
    expect(messages[1]?.content).toContain(ferry.text)
    expect(matches).toBe(true)
  })

  it('finds documents as the stages put in behind have left them', async () => {
    const config = configure()
    const pipeline = await memoryPipeline()
    await extendMainLine(pipeline, config, ['mask'])
    await writeDocuments(pipeline, [{ ...ferry, text: `${ferry.text} Ask pilot@example.org.` }])
    const input = { id: 'document-1', topic: 'document', partition: 0, offset: 0 }
    const masked = { id: 'masked-1', url: null, language: 'en', source: null, pii: { email: 1 }, input, ...ferry }
    const value = pipeline.serde.encode('masked', masked)
    await pipeline.transport.produce([{ topic: 'masked', partition: 0, key: masked.id, ...value }])
    const search = await createSearch(config).open(pipeline)
    const found = await search.find(['pilot', 'ferry'], { limit: 3, signal: new AbortController().signal })
    expect(found).toMatchObject([{ id: 'masked-1', text: ferry.text }])
    await search.close()
  })

  it('needs no model where it judges nothing', async () => {
    const config = configure()
    const own = { ...config.operators.retrieve, options: { ...config.operators.retrieve?.options, judge: false } }
    const quiet: Config = {
      ...config,
      operators: { ...config.operators, retrieve: own as Config['operators'][string] },
    }
    const { pipeline, stage } = await begin([['frozen river', 'ferry'], ['quantum chromodynamics']], quiet)
    await writeDocuments(pipeline, [bread, ferry, knots])
    const [binding] = bindStages([stage], quiet)
    if (!binding) return expect.unreachable('no binding')
    await work(pipeline, binding)
    expect(await readRecords(pipeline, 'grounding')).toMatchObject([
      { document: { title: ferry.title }, provenance: null },
    ])
    expect(await readRecords(pipeline, 'dropped')).toMatchObject([
      { reason: 'no_relevant_document', operator: 'retrieve' },
    ])
    expect(() => bindStages([stage], config)).toThrow('retrieve needs a model')
  })

  it('finds what the same run has still to make, pages and instructions having come together', async () => {
    const config = configure()
    const { pipeline, stage } = await begin(
      [
        ['frozen river', 'ferry'],
        ['bowline', 'quay'],
      ],
      config,
    )
    await writeArticles(pipeline, [...letters, ferry.text, knots.text])
    const counters = await workWithDocuments(pipeline, stage, config)
    expect(counters.retrieve).toMatchObject({ in: 2, done: 2 })
    const found = (await readRecords(pipeline, 'grounding')).map(({ document }) => document.text)
    expect(found.sort()).toEqual([knots.text, ferry.text].sort())
  })

  it('does not look before the commit has ended that makes the documents, however long it takes', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['frozen river', 'ferry']], config)
    const { transport, clock } = pipeline
    const { join } = transport
    transport.join = (tasks, assigned) =>
      join.call(transport, tasks, claim => {
        const commit = claim.commit.bind(claim)
        claim.commit = async (messages, ...rest) => {
          if (messages.some(({ topic }) => topic === 'document')) await clock.sleep(10_000)
          return commit(messages, ...rest)
        }
        assigned(claim)
      })
    await writeArticles(pipeline, [ferry.text])
    const counters = await workWithDocuments(pipeline, stage, config)
    expect(counters.retrieve).toMatchObject({ in: 1, done: 1, failed: {} })
  })

  it('keeps instructions as dead letters while there is no document', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['ferry']], config)
    await work(pipeline, bind(stage, config))
    const failed: Records['failed'][] = await readRecords(pipeline, 'failed')
    expect(failed).toMatchObject([{ code: 'SEARCH_EMPTY', operator: 'retrieve', input: 'concept-0' }])
  })

  it('works those dead letters once they are put back, after the pages that came with that', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['ferry', 'river']], config)
    await work(pipeline, bind(stage, config))
    const [letter] = await readRecords(pipeline, 'failed')
    const { id = '', operator = '', variant = '', place = null, value = null } = letter ?? {}
    if (!place) throw new Error('there is no dead letter')
    await writeArticles(pipeline, [...letters, ferry.text])
    const retry = pipeline.serde.encode('retry', { id, operator, variant, place, value })
    await pipeline.transport.produce([{ topic: 'retry', partition: 0, key: id, ...retry }])
    const counters = await workWithDocuments(pipeline, stage, config, { acceptChange: true })
    expect(counters.retrieve).toMatchObject({ in: 1, done: 1, retried: 1, failed: {} })
    expect(await readRecords(pipeline, 'grounding')).toMatchObject([{ document: { text: ferry.text } }])
    expect(await readRecords(pipeline, 'failed')).toEqual([])
  })

  it('searches again after an error that may pass, and closes the search at the end', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['ferry']], config)
    const source = failing(2, new SituError('SEARCH_UNREACHABLE', 'busy', { retryAfterMs: 100 }))
    await work(pipeline, bind(stage, config, source))
    expect(await readRecords(pipeline, 'dropped')).toMatchObject([{ reason: 'no_relevant_document' }])
    expect([source.asked, source.closed]).toEqual([3, 1])
  })

  it('waits another time for each record, so that they do not search again at once', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['ferry'], ['bread']], config)
    const waits: number[] = []
    const sleep: Clock['sleep'] = (ms, signal) => {
      waits.push(ms)
      return pipeline.clock.sleep(ms, signal)
    }
    const clock = { now: pipeline.clock.now, sleep }
    const source = failing(2, new SituError('SEARCH_UNREACHABLE', 'busy'))
    await work({ ...pipeline, clock }, bind(stage, config, source))
    const { backoffMs } = defaults.retry
    const beforeSecond = waits.filter(ms => ms > backoffMs / 2 && ms <= backoffMs)
    expect(beforeSecond).toHaveLength(2)
    expect(beforeSecond[0]).not.toBe(beforeSecond[1])
  })

  it('makes a dead letter of one that never passes, and ends the run where the search refuses', async () => {
    const config = configure()
    const { pipeline, stage } = await begin([['ferry']], config)
    const source = failing(99, new SituError('SEARCH_RESPONSE_BROKEN', 'no JSON'))
    await work(pipeline, bind(stage, config, source))
    expect(await readRecords(pipeline, 'failed')).toMatchObject([{ code: 'SEARCH_RESPONSE_BROKEN' }])
    expect(source.asked).toBe(defaults.retry.maxAttempts)
    const other = await begin([['ferry']], config)
    const refusing = failing(99, new SituError('SEARCH_REFUSED', 'status 403'))
    await expect(work(other.pipeline, bind(other.stage, config, refusing))).rejects.toMatchObject({
      code: 'SEARCH_REFUSED',
    })
    expect([refusing.asked, refusing.closed]).toEqual([1, 1])
  })

  it('counts the search among what the outputs depend on', async () => {
    const config = configure()
    const { stage } = await begin([], config)
    const web = configure({
      search: { kind: 'searxng', baseUrl: 'http://127.0.0.1:1', engines: ['a'], language: 'en' },
    })
    const [fullText, searxng] = [bind(stage, config), bind(stage, web)]
    expect(fullText.configurationText).toContain('"search":"full-text, version 1"')
    expect(searxng.configurationText).toContain('"search":"searxng, version 1, engines a, language en"')
    expect(searxng.outputId('x', [], 0, 0)).not.toBe(fullText.outputId('x', [], 0, 0))
    expect(fullText.outputId('x', ['document-1'], 0, 0)).not.toBe(fullText.outputId('x', ['document-2'], 0, 0))
  })
})
