import { pino } from 'pino'
import { z } from 'zod'
import type { Operator } from '../../operators/operator.ts'
import type { Noun, Records } from '../../schemas/records.ts'
import { Serde } from '../../schemas/serde.ts'
import { nounOfTopic, type Stage, topicNouns, topicSpecs } from '../../streams/chain/topology.ts'
import type { Clock } from '../../streams/clock.ts'
import { systemClock } from '../../streams/clock.ts'
import { contentId } from '../../streams/identity.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { MemoryRegistry } from '../../streams/registries/memory.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { MemoryLog, MemoryTransport } from '../../streams/transports/memory.ts'
import type { Message } from '../../streams/transports/transport.ts'

export const silent = pino({ level: 'silent' })

/** Time that runs faster than it does, so that waits of minutes are tested in fractions of a second. */
export function fasterClock(factor: number): Clock {
  const start = Date.now()
  const begun = performance.now()
  return {
    now: () => Math.round(start + (performance.now() - begun) * factor),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  }
}

/** A pipeline in memory; several over one log are several processes on one broker. */
export async function memoryPipeline(
  log = new MemoryLog(),
  clock: Clock = fasterClock(50),
  partitions = 1,
  limits: Partial<Pipeline['transport']['limits']> = {},
): Promise<Pipeline> {
  const transport = new MemoryTransport({ log, now: clock.now, limits })
  const registry = new MemoryRegistry()
  const serde = new Serde(registry)
  const specs = topicSpecs(partitions)
  await transport.createTopics(specs)
  const names = new Set([...topicNouns, ...specs.map(({ name }) => name)])
  for (const name of names) await serde.register(`${name}-value`, nounOfTopic(name))
  return { transport, registry, serde, clock, partitions, close: () => transport.close() }
}

export async function writeArticles({ transport, serde }: Pipeline, texts: readonly string[]): Promise<void> {
  const messages = texts.map(text => {
    const article = { id: contentId(text), url: null, title: null, text, language: 'en', source: null, input: null }
    return { topic: 'article', partition: 0, key: article.id, ...serde.encode('article', article) }
  })
  await transport.produce(messages)
}

export type Apply = Operator<'article', 'document', object>['apply']

/** A stage from article to document that does what a test wants. */
export function toyStage(apply: Apply, more: Partial<Operator<'article', 'document', object>> = {}): Stage {
  const operator: Operator<'article', 'document', object> = {
    name: 'toy',
    version: 1,
    from: 'article',
    to: 'document',
    summary: 'does what a test wants',
    reasons: ['unwanted'],
    options: z.strictObject({}),
    apply,
    ...more,
  }
  const state = operator.createIndex ? 'dedupe-document-state' : null
  const stage = { name: 'toy', operator, variant: 'main', input: 'article', output: 'document', state }
  return stage as unknown as Stage
}

/** The draft that a toy stage usually makes. */
export function toDocument({ text, url, title, language, source }: Records['article']) {
  return { text, url, title, language, source }
}

export function toyRun(
  pipeline: Pipeline,
  stage: Stage,
  options: Partial<RunOptions> & { configured?: object } = {},
): Run {
  const { configured, ...rest } = options
  const binding = new StageBinding(stage, { ...configured }, { prompt: null, model: null, snapshot: null })
  return new Run(pipeline, { ...defaults, bindings: [binding], ...rest }, silent)
}

export const defaults: Omit<RunOptions, 'bindings'> = {
  concurrency: 8,
  limit: null,
  follow: false,
  ordered: false,
  acceptChange: false,
  acceptLoss: false,
  drainMs: 10_000,
  retry: { maxAttempts: 3, backoffMs: 500, maxBackoffMs: 30_000, recordTimeoutMs: 3_600_000 },
  stop: new AbortController().signal,
}

/** All records of a topic, in order; of a compacted one those that stand. */
export async function readRecords<N extends Noun>({ transport, serde }: Pipeline, noun: N): Promise<Records[N][]> {
  const found: Message[] = []
  if (['failed', 'prompt', 'snapshot', 'task', 'variant'].includes(noun)) {
    for await (const message of transport.compacted(noun)) found.push(message)
  } else {
    for await (const { messages } of transport.read(noun, 0, 0)) found.push(...messages)
  }
  return Promise.all(found.map(({ value }) => serde.decode(noun, value)))
}
