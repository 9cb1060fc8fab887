import { expect } from 'vitest'
import { builtInSnapshot } from '../../operators/demonstrations.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import { Prompt } from '../../operators/prompt.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Noun, Records } from '../../schemas/records.ts'
import { loadPrompt } from '../../streams/bind.ts'
import { chooseStages, findStage } from '../../streams/chain/main-line.ts'
import { prepareReplay, type ReplayRange, stagesThrough } from '../../streams/chain/replay.ts'
import { nounOfTopic, partitionOf, type Stage, stages } from '../../streams/chain/topology.ts'
import { readVariants } from '../../streams/chain/variants.ts'
import { readConfig } from '../../streams/config/config.ts'
import { readStatus, type Status } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { MemoryLog } from '../../streams/transports/memory.ts'
import { defaults, fasterClock, memoryPipeline, silent } from './pipeline.ts'

export const { config } = readConfig({}, {})
const snapshot = builtInSnapshot()

/** The stand-in, counting its calls by operator; it may fail some. */
export class CountingModel extends StandIn implements Model {
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

export function bind(chosen: readonly Stage[], model: Model, { prompt, threshold }: Changed = {}): StageBinding[] {
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
export async function workedPipeline(
  count: number,
  model: Model,
  partitions = 1,
  log = new MemoryLog(),
): Promise<Pipeline> {
  const pipeline = await memoryPipeline(log, fasterClock(50), partitions)
  await addArticles(pipeline, 0, count)
  await runMain(pipeline, model)
  return pipeline
}

export async function addArticles({ transport, serde, partitions }: Pipeline, from: number, to: number): Promise<void> {
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

export const chain = ['dedupe-document', 'situate', 'instruct', 'dedupe-instruction']

export async function runMain(
  pipeline: Pipeline,
  model: Model,
  changed: Changed = {},
  options: Partial<RunOptions> = {},
) {
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

export async function replay(pipeline: Pipeline, operator: string, model: Model, wanted: Wanted) {
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
export async function bytesOf({ transport, partitions }: Pipeline, topics: readonly string[]): Promise<string> {
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

export async function recordsOf<N extends Noun>({ transport, serde, partitions }: Pipeline, topic: string, _noun: N) {
  const records: Records[N][] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) records.push((await serde.decode(nounOfTopic(topic), value)) as Records[N])
    }
  }
  return records
}

/** The status, which must add up by counters and by records. */
export async function soundStatus(pipeline: Pipeline): Promise<Status> {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  expect(status.differences).toEqual([])
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  // The articles came in without situ ingest.
  expect(differences.filter(line => !line.startsWith('ingest:'))).toEqual([])
  return status
}

export const mainTopics = ['article', 'document', 'situation', 'instruction', 'deduped', 'dropped']
export const brief = { operator: 'instruct', text: '\nKeep it brief.' }

export async function codeOf(work: Promise<unknown>): Promise<[string, string]> {
  const error: unknown = await work.then(
    () => null,
    thrown => thrown,
  )
  return error instanceof SituError ? [error.code, error.message] : ['none', String(error)]
}

/** Hash of the prompt of `instruct` with something added. */
export function promptHash(added: string): string {
  const [stage] = chooseStages(stages, ['instruct'])
  if (!stage) throw new Error('no such operator')
  return new Prompt('instruct', loadPrompt(stage).text + added, stage.operator.prompt?.fields ?? []).hash
}
