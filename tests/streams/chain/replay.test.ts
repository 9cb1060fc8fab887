import { describe, expect, it } from 'vitest'
import { builtInSnapshot } from '../../../operators/demonstrations.ts'
import type { Model, ModelReply, ModelRequest } from '../../../operators/model.ts'
import { Prompt } from '../../../operators/prompt.ts'
import { SituError } from '../../../schemas/errors.ts'
import type { Noun, Records } from '../../../schemas/records.ts'
import { loadPrompt } from '../../../streams/bind.ts'
import { chooseStages, findStage } from '../../../streams/chain/main-line.ts'
import { promote, removeVariant } from '../../../streams/chain/promotion.ts'
import { prepareReplay, type ReplayRange, stagesThrough } from '../../../streams/chain/replay.ts'
import { nounOfTopic, partitionOf, type Stage, stages } from '../../../streams/chain/topology.ts'
import { readVariants, stageConfirmer } from '../../../streams/chain/variants.ts'
import { readConfig, withSettings } from '../../../streams/config/config.ts'
import { ancestors, descendants, findRecord } from '../../../streams/inspect/lineage.ts'
import { readStatus, type Status } from '../../../streams/inspect/status.ts'
import { listVariants } from '../../../streams/inspect/variants.ts'
import { verify } from '../../../streams/inspect/verify.ts'
import { StandIn } from '../../../streams/models/stand-in.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { applyRetention as applyRetentionOf } from '../../../streams/retention.ts'
import { Run, type RunOptions } from '../../../streams/run.ts'
import { StageBinding } from '../../../streams/task/stage-binding.ts'
import type { RetentionOptions } from '../../../streams/transports/embedded/retention.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { defaults, fasterClock, memoryPipeline, silent } from '../../support/pipeline.ts'

const { config } = readConfig({}, {})
const snapshot = builtInSnapshot()

/** The stand-in, counting its calls by operator; it may fail some. */
class CountingModel extends StandIn implements Model {
  readonly calls: Record<string, number> = {}
  failing: (request: ModelRequest) => boolean = () => false

  override async complete(request: ModelRequest): Promise<ModelReply> {
    const { name } = request.replySchema
    this.calls[name] = (this.calls[name] ?? 0) + 1
    if (this.failing(request)) throw new SituError('MODEL_CONTENT_FILTERED', 'not this one')
    return super.complete(request)
  }
}

interface Changed {
  /** Added to the prompt of this operator. */
  prompt?: { operator: string; text: string }
  threshold?: number
}

function bind(chosen: readonly Stage[], model: Model, { prompt, threshold }: Changed = {}): StageBinding[] {
  return chosen.map(stage => {
    const { operator, name } = stage
    const added = prompt?.operator === name ? prompt.text : ''
    const options = { ...config.operators[name]?.options, ...(threshold && 'createIndex' in operator && { threshold }) }
    const text = operator.prompt ? loadPrompt(stage).text + added : null
    return new StageBinding(stage, options, {
      prompt: text === null ? null : new Prompt(name, text, operator.prompt?.fields ?? []),
      model: operator.prompt ? model : null,
      snapshot: operator.demonstrations ? snapshot : null,
    })
  })
}

/** A pipeline whose main line has worked this many documents. */
async function workedPipeline(count: number, model: Model, partitions = 1, log = new MemoryLog()): Promise<Pipeline> {
  const pipeline = await memoryPipeline(log, fasterClock(50), partitions)
  await addArticles(pipeline, 0, count)
  await runMain(pipeline, model)
  return pipeline
}

async function addArticles({ transport, serde, partitions }: Pipeline, from: number, to: number): Promise<void> {
  const messages = Array.from({ length: to - from }, (_, index) => {
    const number = from + index
    const text = Array.from(
      { length: 12 },
      (_, line) =>
        `In year ${number * 37 + line} the keeper of lighthouse ${number} counted ${line * number + 3} ships.`,
    ).join(' ')
    const article = { id: `article-${number}`, url: null, title: `Lighthouse ${number}`, text, language: 'en' }
    const record: Records['article'] = { ...article, source: null, input: null }
    const partition = partitionOf('article', record, partitions)
    return { topic: 'article', partition, key: record.id, ...serde.encode('article', record) }
  })
  await transport.produce(messages)
}

const chain = ['dedupe-document', 'situate', 'instruct', 'dedupe-instruction']

async function runMain(pipeline: Pipeline, model: Model, changed: Changed = {}, options: Partial<RunOptions> = {}) {
  const { main } = await readVariants(pipeline)
  const bindings = bind(chooseStages(main.stages, chain), model, changed)
  return new Run(pipeline, { ...defaults, ...options, bindings }, silent).work()
}

interface Wanted extends Changed {
  variant: string
  through?: string
  range?: Partial<ReplayRange>
  run?: Partial<RunOptions>
}

async function replay(pipeline: Pipeline, operator: string, model: Model, wanted: Wanted) {
  const { variant, through, range, run, ...changed } = wanted
  const { main } = await readVariants(pipeline)
  const first = findStage(main.stages, operator)
  const bindings = await prepareReplay(pipeline, config, {
    variant,
    range: { from: null, until: null, limit: null, ...range },
    bindings: bind(stagesThrough(first, through, main.stages), model, changed),
  })
  return new Run(pipeline, { ...defaults, ...run, bindings }, silent).work()
}

/** Everything that topics hold, byte for byte. */
async function bytesOf({ transport, partitions }: Pipeline, topics: readonly string[]): Promise<string> {
  const lines: string[] = []
  for (const topic of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of transport.read(topic, partition, 0)) {
        for (const { offset, key, value, timestamp } of messages) {
          lines.push(`${topic} ${partition} ${offset} ${key} ${timestamp} ${Buffer.from(value ?? []).toString('hex')}`)
        }
      }
    }
  }
  return lines.join('\n')
}

async function recordsOf<N extends Noun>({ transport, serde, partitions }: Pipeline, topic: string, _noun: N) {
  const records: Records[N][] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) records.push((await serde.decode(nounOfTopic(topic), value)) as Records[N])
    }
  }
  return records
}

/** The status, which must add up by counters and by records. */
async function soundStatus(pipeline: Pipeline): Promise<Status> {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  expect(status.differences).toEqual([])
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  // The articles came in without situ ingest.
  expect(differences.filter(line => !line.startsWith('ingest:'))).toEqual([])
  return status
}

const mainTopics = ['article', 'document', 'situation', 'instruction', 'deduped', 'dropped']
const brief = { operator: 'instruct', text: '\nKeep it brief.' }

async function codeOf(work: Promise<unknown>): Promise<[string, string]> {
  const error: unknown = await work.then(
    () => null,
    thrown => thrown,
  )
  return error instanceof SituError ? [error.code, error.message] : ['none', String(error)]
}

describe('replay', () => {
  it('works the inputs of an operator again, calls nothing before it and leaves the main line byte for byte', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(40, model)
    const before = await bytesOf(pipeline, mainTopics)
    expect(model.calls).toEqual({ situation: 40, instruction: 40 })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    expect(model.calls).toEqual({ situation: 40, instruction: 80 })
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const [main, own] = [
      await recordsOf(pipeline, 'instruction', 'instruction'),
      await recordsOf(pipeline, 'instruction.brief', 'instruction'),
    ]
    expect(new Set([...main, ...own].map(({ id }) => id)).size).toBe(80)
    expect(own.map(({ situation }) => situation?.id).sort()).toEqual(main.map(({ situation }) => situation?.id).sort())
    const { operators, topics } = await soundStatus(pipeline)
    expect(operators['instruct.brief']).toMatchObject({ in: 40, done: 40, out: 40, lag: 0 })
    expect(operators.instruct).toMatchObject({ in: 40, done: 40, out: 40, lag: 0 })
    expect(topics['instruction.brief']?.records).toBe(40)
  })

  it('goes through the later operators, whose state begins empty', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(20, model)
    const kept = (await recordsOf(pipeline, 'deduped', 'deduped')).length
    await replay(pipeline, 'instruct', model, { variant: 'same', through: 'dedupe-instruction' })
    const [main, own] = await Promise.all(
      ['deduped', 'deduped.same'].map(topic => recordsOf(pipeline, topic, 'deduped')),
    )
    expect([own?.length, kept > 0]).toEqual([kept, true])
    expect(own?.map(({ id }) => id).sort()).toEqual(main?.map(({ id }) => id).sort())
    const { operators } = await soundStatus(pipeline)
    expect(operators['dedupe-instruction.same']?.dropped).toEqual(operators['dedupe-instruction']?.dropped)
  })

  it('may be led further through the chain later', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    await replay(pipeline, 'situate', model, { variant: 'other', through: 'instruct' })
    expect(model.calls).toEqual({ situation: 12, instruction: 12 })
    await replay(pipeline, 'situate', model, { variant: 'other', through: 'dedupe-instruction' })
    expect(model.calls).toEqual({ situation: 12, instruction: 12 })
    const { operators } = await soundStatus(pipeline)
    expect(operators['dedupe-instruction.other']).toMatchObject({ in: 6, lag: 0 })
    expect(operators['instruct.other']).toMatchObject({ in: 6, out: 6 })
  })

  it('goes on where it was stopped', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(30, model)
    const stop = new AbortController()
    model.failing = () => {
      if (model.calls.instruction === 40) stop.abort()
      return false
    }
    const wanted = { variant: 'brief', prompt: brief }
    await replay(pipeline, 'instruct', model, { ...wanted, run: { stop: stop.signal, concurrency: 2 } })
    const first = (await recordsOf(pipeline, 'instruction.brief', 'instruction')).length
    expect(first).toBeLessThan(30)
    await soundStatus(pipeline)
    await replay(pipeline, 'instruct', model, wanted)
    expect(model.calls.instruction).toBe(60)
    expect(await recordsOf(pipeline, 'instruction.brief', 'instruction')).toHaveLength(30)
    await soundStatus(pipeline)
  })

  it('takes the inputs that have come since where it has no end', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(5, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    await addArticles(pipeline, 5, 8)
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators['instruct.brief']).toMatchObject({ in: 5, lag: 3 })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    expect((await soundStatus(pipeline)).operators['instruct.brief']).toMatchObject({ in: 8, lag: 0 })
  })

  it('keeps to its range, and counts only that', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(20, model)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { from: '5', until: '15', limit: 4 } })
    const own = await recordsOf(pipeline, 'instruction.part', 'instruction')
    expect(own.map(({ provenance }) => provenance?.input.offset).sort()).toEqual([5, 6, 7, 8])
    expect((await soundStatus(pipeline)).operators['instruct.part']).toMatchObject({ in: 4, done: 4, lag: 0 })
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { from: '5', until: '15', limit: 4 } })
    expect(model.calls.instruction).toBe(24)
    const times = pipeline.transport.read('situation', 0, 12, { maxMessages: 1 })
    const { value } = await times[Symbol.asyncIterator]().next()
    const from = new Date(value.messages[0].timestamp).toISOString()
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from } })
    const late = await recordsOf(pipeline, 'instruction.late', 'instruction')
    expect(Math.min(...late.map(({ provenance }) => provenance?.input.offset ?? Number.NaN))).toBeLessThanOrEqual(12)
    await soundStatus(pipeline)
  })

  it.each(['-5', '1.5'])('takes %s for no time', async from => {
    const pipeline = await workedPipeline(1, new CountingModel())
    const wanted = { variant: 'odd', range: { from } }
    await expect(replay(pipeline, 'instruct', new CountingModel(), wanted)).rejects.toMatchObject({
      code: 'USAGE',
      message: `--from ${from}: expected earliest, latest, an offset or a time`,
    })
  })

  it('shares a limit out among partitions', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(30, model, 3)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { limit: 7 } })
    const own = await recordsOf(pipeline, 'instruction.part', 'instruction')
    const counts = Map.groupBy(own, ({ provenance }) => provenance?.input.partition)
    expect([...counts.values()].map(({ length }) => length).sort()).toEqual([2, 2, 3])
    await soundStatus(pipeline)
  })

  it('refuses another prompt, range or operator under the same name, and shows both', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const before = loadPromptHash(brief.text)
    const [code, message] = await codeOf(
      replay(pipeline, 'instruct', model, {
        variant: 'brief',
        prompt: { ...brief, text: '\nLonger.' },
        range: { limit: 2 },
      }),
    )
    expect(code).toBe('CONFIGURATION_CHANGED')
    for (const shown of [before, loadPromptHash('\nLonger.'), 'limit was null, is 2']) expect(message).toContain(shown)
    expect(await codeOf(replay(pipeline, 'situate', model, { variant: 'brief' }))).toEqual([
      'CONFIGURATION_CHANGED',
      expect.stringContaining('operator was instruct, is situate'),
    ])
    expect(model.calls).toEqual({ situation: 3, instruction: 6 })
    for (const variant of ['main', 'main-2026-01-01', 'a.b', 'a/b', '']) {
      expect((await codeOf(replay(pipeline, 'instruct', model, { variant })))[0]).toBe('USAGE')
    }
  })

  it('has dead letters of its own, which come back to it alone', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    const isThird = ({ replySchema, messages }: ModelRequest) =>
      replySchema.name === 'instruction' && messages.some(({ content }) => content.includes('lighthouse 3 '))
    model.failing = isThird
    await replay(pipeline, 'instruct', model, { variant: 'one', prompt: brief })
    await replay(pipeline, 'instruct', model, { variant: 'two', prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect([operators['instruct.one']?.failed, operators.instruct?.failed]).toEqual([{ MODEL_CONTENT_FILTERED: 1 }, {}])
    model.failing = () => false
    for await (const { value, key } of pipeline.transport.compacted('failed')) {
      const letter = await pipeline.serde.decode('failed', value)
      if (letter.variant !== 'one' || !letter.place) continue
      const { id, operator, place, variant, value: input } = letter
      const retry = pipeline.serde.encode('retry', { id, operator, place, value: input, variant })
      await pipeline.transport.produce([{ topic: 'retry', partition: 0, key: key ?? '', value: retry.value }])
    }
    await runMain(pipeline, model)
    await replay(pipeline, 'instruct', model, { variant: 'two', prompt: brief })
    await replay(pipeline, 'instruct', model, { variant: 'one', prompt: brief })
    const after = (await soundStatus(pipeline)).operators
    expect(after['instruct.one']).toMatchObject({ done: 6, failed: {}, retried: 1 })
    expect(after['instruct.two']).toMatchObject({ done: 5, failed: { MODEL_CONTENT_FILTERED: 1 }, retried: 0 })
    expect(after.instruct).toMatchObject({ done: 6, retried: 0 })
  })

  it('runs beside the main line without fencing it', async () => {
    const model = new CountingModel()
    const log = new MemoryLog()
    const pipeline = await workedPipeline(10, model, 1, log)
    const other = await memoryPipeline(log)
    await addArticles(pipeline, 10, 30)
    const [main] = await Promise.all([
      runMain(pipeline, model),
      replay(other, 'instruct', model, { variant: 'brief', prompt: brief }),
    ])
    expect(main.held).toEqual([])
    await replay(other, 'instruct', model, { variant: 'brief', prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect([operators.instruct?.out, operators['instruct.brief']?.out]).toEqual([30, 30])
  })
})

function loadPromptHash(added: string): string {
  const [stage] = chooseStages(stages, ['instruct'])
  if (!stage) throw new Error('no such operator')
  return new Prompt('instruct', loadPrompt(stage).text + added, stage.operator.prompt?.fields ?? []).hash
}

describe('lineage', () => {
  it('leads from a variant back to the main line, and from there to all variants', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    await replay(pipeline, 'instruct', model, { variant: 'same', through: 'dedupe-instruction' })
    const [own] = await recordsOf(pipeline, 'deduped.brief', 'deduped')
    const found = await findRecord(pipeline, own?.id ?? '')
    if (!found) throw new Error('not found')
    expect(found.topic).toBe('deduped.brief')
    const way = await ancestors(pipeline, found)
    expect(way.map(({ topic }) => topic)).toEqual(['instruction.brief', 'situation', 'document', 'article'])
    const situation = way[1]
    const tree = await descendants(pipeline, situation ?? found)
    // The variant with the same configuration has the same ids: each has children of its own.
    expect(tree.children.map(child => [child.topic, child.children.map(({ topic }) => topic)])).toEqual([
      ['instruction', [expect.stringMatching(/^(deduped|dropped)$/)]],
      ['instruction.brief', ['deduped.brief']],
      ['instruction.same', [expect.stringMatching(/^(deduped\.same|dropped)$/)]],
    ])
  })
})

describe('promote', () => {
  it('makes a variant the main line, keeps the former one, and can be taken back', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(10, model)
    const before = await bytesOf(pipeline, mainTopics)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    const { earlier, fresh } = await promote(pipeline, config, 'brief')
    expect([earlier, fresh]).toEqual([expect.stringMatching(/^main-\d{4}-\d\d-\d\d$/), []])
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const variants = await readVariants(pipeline)
    expect([variants.topicOf('instruction'), variants.topicOf('situation')]).toEqual(['instruction.brief', 'situation'])
    expect(variants.view('deduped', earlier).topic).toBe('deduped')
    const { operators, topics } = await soundStatus(pipeline)
    expect([operators.instruct?.out, operators[`instruct.${earlier}`]?.out]).toEqual([10, 10])
    expect(topics[`deduped.${earlier}`]?.records).toBeGreaterThan(0)

    // The main line goes on with the prompt of the variant, and refuses the former one.
    await addArticles(pipeline, 10, 14)
    expect((await codeOf(runMain(pipeline, model)))[0]).toBe('CONFIGURATION_CHANGED')
    const { counters } = await runMain(pipeline, model, { prompt: brief })
    expect(counters.instruct).toMatchObject({ in: 14, out: 14 })
    const after = (await soundStatus(pipeline)).operators
    expect(after[`instruct.${earlier}`]).toMatchObject({ in: 10, out: 10, lag: 0 })
    expect(await recordsOf(pipeline, 'instruction', 'instruction')).toHaveLength(10)

    await promote(pipeline, config, earlier)
    const { main, others } = await readVariants(pipeline)
    expect(main.stages.map(({ variant }) => variant)).toEqual(['main', 'main', 'main', 'main', 'main'])
    expect(others.map(({ stages }) => stages.map(({ output }) => output))).toEqual([
      ['instruction.brief', 'deduped.brief'],
    ])
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators.instruct).toMatchObject({ in: 14, out: 14, lag: 0 })
  })

  it('lets the operators behind those of the variant begin at nothing', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(8, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, range: { limit: 3 } })
    const { fresh } = await promote(pipeline, config, 'brief')
    expect(fresh.map(({ name }) => name)).toEqual(['dedupe-instruction'])
    expect((await soundStatus(pipeline)).operators).toMatchObject({
      instruct: { in: 3, lag: 5 },
      'dedupe-instruction': { in: 0, lag: 3 },
    })
    await runMain(pipeline, model, { prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect(operators.instruct).toMatchObject({ in: 8, lag: 0 })
    expect(operators['dedupe-instruction']).toMatchObject({ in: 8, lag: 0 })
  })

  it('tells how many inputs lie before the range of the replay', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from: '4' } })
    expect(await promote(pipeline, config, 'late')).toMatchObject({ leftOut: 4 })
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators.instruct).toMatchObject({ in: 2, lag: 0 })
    const variants = await readVariants(pipeline)
    expect(variants.view('dedupe-instruction-state').topic).toBe('dedupe-instruction-state.late')
    expect(variants.view('deduped').topic).toBe('deduped.late')
    expect(variants.view(`deduped.${variants.others[0]?.name}`).topic).toBe('deduped')
    expect(() => variants.view('situation', variants.others[0]?.name)).toThrow('it has instruction, deduped')
  })

  it('refuses while a worker has a task of it, and what was made from a topic that the main line has left', async () => {
    const model = new CountingModel()
    const log = new MemoryLog()
    const pipeline = await workedPipeline(3, model, 1, log)
    await replay(pipeline, 'situate', model, { variant: 'scenes' })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const other = await memoryPipeline(log)
    const stop = new AbortController()
    const following = runMain(other, model, {}, { follow: true, stop: stop.signal })
    while (!log.tasks.get('main-instruct-0')?.owned) await new Promise(resolve => setImmediate(resolve))
    expect(await codeOf(promote(pipeline, config, 'brief'))).toEqual([
      'DATA_IN_USE',
      expect.stringContaining('main-instruct-0'),
    ])
    stop.abort()
    await following
    await promote(pipeline, config, 'scenes')
    const [code, message] = await codeOf(promote(pipeline, config, 'brief'))
    expect([code, message]).toEqual(['USAGE', expect.stringContaining('situation.scenes')])
    expect((await codeOf(promote(pipeline, config, 'brif')))[1]).toContain('did you mean brief')
    expect((await codeOf(replay(pipeline, 'instruct', model, { variant: 'scenes' })))[0]).toBe('USAGE')
    await soundStatus(pipeline)
  })

  it('is noticed by a worker that takes a task later, before it reads anything', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    const former = (await readVariants(pipeline)).main
    await promote(pipeline, config, 'brief')
    await addArticles(pipeline, 3, 5)
    const confirm = stageConfirmer(pipeline, 'main')
    const bindings = bind(chooseStages(former.stages, chain), model)
    const run = new Run(pipeline, { ...defaults, confirm, bindings }, silent).work()
    expect((await codeOf(run))[0]).toBe('CONFIGURATION_CHANGED')
    expect(await recordsOf(pipeline, 'instruction', 'instruction')).toHaveLength(3)
    const { main, others } = await readVariants(pipeline)
    for (const stage of main.stages) await stageConfirmer(pipeline, 'main')(stage)
    expect((await codeOf(stageConfirmer(pipeline, 'brief')(others[0]?.stages[0] as Stage)))[0]).toBe(
      'CONFIGURATION_CHANGED',
    )
  })

  it('keeps clean texts that came in as articles from being lost', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(2, model)
    await replay(pipeline, 'extract', model, { variant: 'strict' })
    expect((await codeOf(promote(pipeline, config, 'strict')))[1]).toContain('situ ingest --as article')
  })
})

describe('variants', () => {
  it('are listed with what differs, their records and their range', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(4, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, range: { limit: 2 } })
    const [main, own] = await listVariants(pipeline)
    expect(main).toMatchObject({ name: 'main', records: { instruction: 4 }, differs: [], time: null })
    expect(own).toMatchObject({
      name: 'brief',
      records: { instruction: 2 },
      range: { limit: 2 },
      differs: [{ operator: 'instruct', key: 'prompt', main: loadPromptHash(''), variant: loadPromptHash(brief.text) }],
    })
  })

  it('keep the inputs that they wait for from retention, and no others', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    const floors = async () => {
      const found: number[] = []
      const applyRetention = async ({ floor }: RetentionOptions) => found.push(floor('situation', 0))
      await applyRetentionOf({ ...pipeline, applyRetention }, withSettings(config, { retentionDays: 1 }))
      return found[0]
    }
    expect(await floors()).toBe(6)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { limit: 2 } })
    expect(await floors()).toBe(6)
    const stop = new AbortController()
    stop.abort()
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from: '4' }, run: { stop: stop.signal } })
    expect(await floors()).toBe(4)
  })

  it('are removed with topics, tasks and dead letters, and the sums still hold, also for a new one of the name', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(12, model)
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const dropped = (await soundStatus(pipeline)).operators['dedupe-instruction.strict']?.dropped
    const before = await bytesOf(pipeline, mainTopics)
    expect(await removeVariant(pipeline, 'strict')).toMatchObject({
      topics: ['deduped.strict', 'dedupe-instruction-state.strict'],
    })
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const status = await soundStatus(pipeline)
    expect(Object.keys(status.operators)).not.toContain('dedupe-instruction.strict')
    expect((await codeOf(removeVariant(pipeline, 'strict')))[0]).toBe('USAGE')
    expect((await codeOf(removeVariant(pipeline, 'main')))[0]).toBe('USAGE')
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const again = (await soundStatus(pipeline)).operators['dedupe-instruction.strict']
    expect(again).toMatchObject({ in: 12, lag: 0, dropped })
  })

  it('are removed to the end where a removal was interrupted', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    model.failing = () => true
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const { transport } = pipeline
    const broken = {
      ...pipeline,
      transport: new Proxy(transport, {
        get: (target, name) => {
          if (name === 'compacted')
            return (topic: string) => {
              if (topic === 'failed') throw new Error('killed')
              return target.compacted(topic)
            }
          const value = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    }
    await expect(removeVariant(broken, 'brief')).rejects.toThrow('killed')
    expect((await codeOf(replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })))[0]).toBe('USAGE')
    expect((await codeOf(promote(pipeline, config, 'brief')))[0]).toBe('USAGE')
    expect(await removeVariant(pipeline, 'brief')).toMatchObject({ failed: 3 })
    expect((await soundStatus(pipeline)).operators.instruct?.failed).toEqual({})
  })

  it('can not be removed while another one reads their topics', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    await promote(pipeline, config, 'brief')
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const back = (await readVariants(pipeline)).others[0]?.name ?? ''
    const { earlier } = await promote(pipeline, config, back)
    const [code, message] = await codeOf(removeVariant(pipeline, earlier))
    expect([code, message]).toEqual(['DATA_IN_USE', expect.stringContaining('strict')])
    await soundStatus(pipeline)
  })
})
