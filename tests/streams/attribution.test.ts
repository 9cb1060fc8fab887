import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSnapshot } from '../../operators/demonstrations.ts'
import { canonicalJson } from '../../operators/hash.ts'
import type { ChatMessage, Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Noun, Provenance, Records } from '../../schemas/records.ts'
import { loadPrompt } from '../../streams/bind.ts'
import { chooseStages, extendMainLine, wantedOperators } from '../../streams/chain/main-line.ts'
import { readConfig } from '../../streams/config/config.ts'
import { recordedTallies } from '../../streams/estimate/recorded.ts'
import { ingestRecords } from '../../streams/ingest/ingest-records.ts'
import { ancestors, findRecord, provenanceOf } from '../../streams/inspect/lineage.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run } from '../../streams/run.ts'
import { createSearch } from '../../streams/searches/index.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { realInstructions } from '../fixtures/real-instructions.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'

const folder = temporaryFolder()
const { config } = readConfig({ data: folder }, {})

/** The stand-in, keeping what it was sent; its first reply to a text that holds `broken` is no JSON. */
class ListeningModel extends StandIn implements Model {
  readonly sent = new Set<string>()
  readonly #broken = new Set<string>()
  broken = ''

  override async complete(request: ModelRequest): Promise<ModelReply> {
    this.sent.add(canonicalJson(request.messages))
    const reply = await super.complete(request)
    const asked = request.messages[1]?.content ?? ''
    if (this.broken === '' || !asked.includes(this.broken) || this.#broken.has(asked)) return reply
    this.#broken.add(asked)
    return { ...reply, text: 'I would rather not.' }
  }

  hasSent(messages: readonly ChatMessage[]): boolean {
    return this.sent.has(canonicalJson(messages))
  }
}

async function produce<N extends Noun>({ transport, serde }: Pipeline, topic: N, records: readonly Records[N][]) {
  const messages = records.map(record => {
    return { topic, partition: 0, key: record.id, ...serde.encode(topic, record) }
  })
  await transport.produce(messages)
}

async function work(pipeline: Pipeline, names: string[], model: Model, options: Record<string, object> = {}) {
  const line = await extendMainLine(pipeline, config, wantedOperators(names, config))
  const bindings = chooseStages(line, names).map(stage => {
    const { operator, name } = stage
    return new StageBinding(stage, operator.options.parse(options[name] ?? {}), {
      prompt: operator.prompt ? loadPrompt(stage) : null,
      model: operator.prompt ? model : null,
      snapshot: null,
      ...(operator.search && { search: createSearch(config) }),
    })
  })
  await new Run(pipeline, { ...defaults, bindings }, silent).work()
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  expect(status.differences).toEqual([])
  return { operators: status.operators, bindings }
}

function itemOf({ text, ...fields }: (typeof realInstructions)[number], index: number) {
  const item = { kind: 'item', content: text, format: 'text', url: null, title: null, place: null } as const
  return { ...item, source: `chats.jsonl line ${index + 1}`, fields }
}

/** A page on what a concept is about. */
function pageOf({ keywords }: Records['concept']): string {
  return `A page on ${keywords.join(', ')}. It says little that was not known before.`
}

async function messagesOf(pipeline: Pipeline, id: string) {
  const found = await findRecord(pipeline, id)
  const provenance = found && provenanceOf(found)
  if (!provenance) throw new Error(`${id} has no provenance`)
  return { provenance, ...(await sentMessages(pipeline, provenance)) }
}

afterAll(() => removeFolder(folder))

describe('the branch of demonstrations, from twenty written instructions', () => {
  const model = new ListeningModel()
  let pipeline: Pipeline
  let operators: Awaited<ReturnType<typeof work>>['operators']

  beforeAll(async () => {
    model.broken = 'sewing machine'
    pipeline = await memoryPipeline()
    await produce(
      pipeline,
      'real-instruction',
      realInstructions.map((row, index) => ingestRecords['real-instruction'](itemOf(row, index))),
    )
    const names = ['dedupe-real', 'score-real', 'conceive']
    await work(pipeline, names, model, { 'score-real': { minimumScore: 5 } })
    const concepts = await readRecords(pipeline, 'concept')
    await writeArticles(pipeline, concepts.map(pageOf))
    await work(pipeline, ['dedupe-document'], model)
    await work(pipeline, ['retrieve'], model, { retrieve: { minimumRelevance: 0.1 } })
    operators = (await work(pipeline, ['attribute'], model)).operators
  })

  it('keeps each instruction that is of use once, and loses none', async () => {
    expect(operators['dedupe-real']).toMatchObject({
      in: 20,
      done: 14,
      dropped: { repeat: 1, near_duplicate: 1, incomplete: 2, too_short: 2 },
    })
    const distinct = await readRecords(pipeline, 'distinct')
    expect(distinct.map(({ text }) => text).sort()).toEqual(
      realInstructions
        .slice(0, 14)
        .map(({ text }) => text)
        .sort(),
    )
    expect(new Set(distinct.map(({ language }) => language))).toEqual(new Set(['en', 'de', 'es', 'fr', 'ja']))
  })

  it('puts the chosen ones in the place of the distinct ones, with scores and how they were made', async () => {
    const chosen = await readRecords(pipeline, 'chosen')
    const low = (await readRecords(pipeline, 'dropped')).filter(({ reason }) => reason === 'low_score')
    expect(chosen.length).toBeGreaterThan(5)
    expect(chosen.length + low.length).toBe(14)
    for (const { scores, scoring } of chosen) {
      expect(scores.total).toBeGreaterThanOrEqual(5)
      expect(scoring).toMatchObject({ operator: 'score-real', model: 'stand-in', input: { topic: 'distinct' } })
    }
    for (const { provenance } of await readRecords(pipeline, 'concept')) expect(provenance.input.topic).toBe('chosen')
  })

  it('finds at most five keywords, all of them words of the instruction', async () => {
    const concepts = await readRecords(pipeline, 'concept')
    expect(concepts).toHaveLength((await readRecords(pipeline, 'chosen')).length)
    for (const { keywords, instruction } of concepts) {
      expect(keywords.length).toBeGreaterThanOrEqual(1)
      expect(keywords.length).toBeLessThanOrEqual(5)
      for (const keyword of keywords) expect(instruction.text).toContain(keyword)
    }
    expect(concepts.filter(({ document }) => document !== null).length).toBeGreaterThanOrEqual(1)
  })

  it('makes demonstrations that a snapshot takes, each with the way back to its instruction', async () => {
    const made = await readRecords(pipeline, 'demonstration')
    expect(made).toHaveLength((await readRecords(pipeline, 'concept')).length)
    for (const { id, ...demonstration } of made) {
      const { instructionId, documentId, url, title, source, provenance, ...rest } = demonstration
      expect(parseSnapshot(JSON.stringify([rest])).demonstrations).toHaveLength(1)
      expect(provenance.operator).toBe('attribute')
      expect(source).toMatch(/^chats\.jsonl line \d+$/)
      const found = await findRecord(pipeline, id)
      const way = found ? await ancestors(pipeline, found) : []
      expect(way.map(({ topic }) => topic)).toEqual(['grounding', 'concept', 'chosen', 'distinct', 'real-instruction'])
      expect(way.at(-1)?.record).toMatchObject({ text: rest.instruction })
    }
  })

  it('tells the messages of each model operator exactly as they were sent, corrective turns too', async () => {
    let corrected = 0
    for (const noun of ['chosen', 'concept', 'grounding', 'demonstration'] as const) {
      for (const record of await readRecords(pipeline, noun)) {
        // An instruction with a document of its own is not looked for.
        if ('relevance' in record && record.relevance === null) continue
        const { id } = record
        const { messages, matches, provenance } = await messagesOf(pipeline, id)
        expect(matches).toBe(true)
        expect(model.hasSent(messages)).toBe(true)
        corrected += provenance.attempts.length - 1
      }
    }
    expect(corrected).toBeGreaterThanOrEqual(1)
  })

  it('asks once for each record, but for the reply that was no JSON', async () => {
    const provenances: Provenance[] = [
      ...(await readRecords(pipeline, 'chosen')).map(({ scoring }) => scoring),
      ...(await readRecords(pipeline, 'concept')).map(({ provenance }) => provenance),
      ...(await readRecords(pipeline, 'demonstration')).map(({ provenance }) => provenance),
    ]
    const repeated = provenances.filter(({ attempts }) => attempts.length > 1)
    expect(repeated.length).toBeLessThanOrEqual(3)
    for (const { attempts } of repeated) expect(attempts[0]?.code).toBe('MODEL_REPLY_INVALID')
  })
})

describe('score', () => {
  it('keeps how the instruction was made beside how it was scored', async () => {
    const model = new ListeningModel()
    const pipeline = await memoryPipeline()
    const provenance = { operator: 'instruct', version: 1, configuration: 'c', model: 'm', endpoint: 'e' }
    const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 1 }
    const place = { id: 's', topic: 'situation', partition: 0, offset: 3 }
    const own: Provenance = {
      ...provenance,
      ...{ prompt: null, messages: null, parameters: '{}', snapshot: null, demonstrations: [], seed: 's', sample: 0 },
      ...{ attempts: [], usage, costUsd: null, latencyMs: 1, time: 1, input: place, lost: [] },
    }
    const made = realInstructions.slice(0, 14).map((row, index) => ({
      ...ingestRecords.instruction(itemOf(row, index)),
      ...(index % 2 === 0 && { provenance: own, thought: 'notes' }),
    }))
    await produce(pipeline, 'instruction', made)
    const { operators, bindings } = await work(pipeline, ['dedupe-instruction', 'score'], model)
    expect(operators['dedupe-instruction']).toMatchObject({ in: 14, done: 14 })
    const scored = await readRecords(pipeline, 'scored')
    expect(scored.length).toBeGreaterThan(10)
    for (const { id, text, thought, provenance: kept, scoring, input } of scored) {
      const original = made.find(record => record.text === text)
      expect({ thought, kept }).toEqual({ thought: original?.thought, kept: original?.provenance })
      expect(scoring).toMatchObject({ operator: 'score', input: { topic: 'deduped' } })
      expect(input.topic).toBe('deduped')
      expect(await messagesOf(pipeline, id)).toMatchObject({ matches: true, provenance: { operator: 'score' } })
    }
    const binding = bindings.find(({ stage }) => stage.name === 'score')
    expect(binding && (await recordedTallies(pipeline, binding))).toHaveLength(scored.length)
  })
})
