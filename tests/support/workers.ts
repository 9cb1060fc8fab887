import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readVariants } from '../../streams/chain/variants.ts'
import { readConfig } from '../../streams/config/config.ts'
import { readStatus, readTasks } from '../../streams/inspect/status.ts'
import { openPipeline, type Pipeline } from '../../streams/pipeline.ts'
import { sum } from '../../streams/task/task-record.ts'
import type { Message } from '../../streams/transports/transport.ts'
import type { Services } from '../services/index.ts'
import { readDocuments } from './documents.ts'
import { mustSitu, Situ } from './situ.ts'

/** Where a chaos run works: a data folder, or brokers with a prefix of its own. */
export interface Ground {
  /** Flags of every command. */
  flags: readonly string[]
  /** The same as `loadConfig` wants them. */
  config: Readonly<Record<string, string>>
}

export function folderGround(data: string): Ground {
  return { flags: ['--data', data], config: { data } }
}

export function kafkaGround(services: Services, prefix: string, partitions = 4): Ground {
  return groundOf({
    brokers: services.brokers.join(','),
    registry: services.registry ?? '',
    prefix,
    partitions: String(partitions),
  })
}

/** A ground of these settings, each of them a flag too. */
export function groundOf(config: Readonly<Record<string, string>>): Ground {
  return { flags: Object.entries(config).flatMap(([name, value]) => [`--${name}`, value]), config }
}

export async function withPipeline<T>({ config }: Ground, look: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await openPipeline(readConfig(config, {}).config, 'read')
  try {
    return await look(pipeline)
  } finally {
    await pipeline.close()
  }
}

/** Writes the documents from one number to another into a file and ingests them. `--partitions` makes the topics. */
export async function ingestDocuments(ground: Ground, folder: string, count: number, from = 0): Promise<void> {
  const input = join(folder, `documents-${from}-${count}.jsonl`)
  writeFileSync(
    input,
    readDocuments(count)
      .slice(from)
      .map(document => `${JSON.stringify(document)}\n`)
      .join(''),
  )
  await mustSitu(['ingest', input, ...ground.flags])
}

export interface Progress {
  /** Inputs with an outcome, over all operators. */
  done: number
  /** Inputs that wait or are under work. */
  waiting: number
  /** Inputs with an outcome of the operators that call a model. */
  calls: number
  /** Ranges of finished offsets beyond the oldest open one, of the task that has the most. */
  ranges: number
}

/** Looks at the progress until it is as wanted; reads of the task topic only what is new since the last look. */
export function untilProgress(
  ground: Ground,
  isWanted: (progress: Progress) => boolean,
  what: string,
  limitMs = 600_000,
): Promise<void> {
  return watchProgress(ground, async progress => {
    for (const deadline = Date.now() + limitMs; ; ) {
      const begin = performance.now()
      if (isWanted(await progress())) return
      if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`)
      await sleep(restShare * (performance.now() - begin))
    }
  })
}

/** A look costs the brokers dozens of requests, and the run is to have the machine: rests so much longer than it looks. */
const restShare = 4

export function untilDone(ground: Ground, limitMs = 600_000): Promise<void> {
  return untilProgress(ground, ({ waiting, done }) => waiting === 0 && done > 0, 'the end of the work', limitMs)
}

export function watchProgress<T>(ground: Ground, look: (progress: () => Promise<Progress>) => Promise<T>): Promise<T> {
  return withPipeline(ground, pipeline => {
    const tasks = new NewestTasks(pipeline)
    return look(async () => progressOf(pipeline, await tasks.read()))
  })
}

/** The newest task records, read on from where the last look ended. */
class NewestTasks {
  readonly #pipeline: Pipeline
  readonly #positions = new Map<number, number>()
  readonly #newest = new Map<string, Message>()

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline
  }

  async read(): Promise<Message[]> {
    const { transport, partitions } = this.#pipeline
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages, next } of transport.read('task', partition, this.#positions.get(partition) ?? 0)) {
        for (const message of messages) this.#take(message)
        this.#positions.set(partition, next)
      }
    }
    return [...this.#newest.values()]
  }

  #take(message: Message): void {
    const { key, value } = message
    if (key === null) return
    if (value === null) this.#newest.delete(key)
    else this.#newest.set(key, { ...message, value: Uint8Array.from(value) })
  }
}

async function progressOf(pipeline: Pipeline, messages: Message[]): Promise<Progress> {
  const { transport, partitions } = pipeline
  const { placed } = await readVariants(pipeline)
  const inputs = [...new Set(placed.map(({ stage }) => stage.input))]
  const places = inputs.flatMap(topic => Array.from({ length: partitions }, (_, partition) => ({ topic, partition })))
  const bounds = await Promise.all(
    places.map(async place => ({ ...place, ...(await transport.bounds(place.topic, place.partition)) })),
  )
  const survey = { topics: [], bounds, messages }
  const { operators } = await readStatus(pipeline, survey)
  const positions = (await readTasks(pipeline, survey)).flatMap(task => task.positions)
  const stages = Object.values(operators)
  const finishedBy = (name: string) => (operators[name]?.in ?? 0) - (operators[name]?.inFlight ?? 0)
  return {
    done: stages.reduce((total, stage) => total + stage.done + sum(stage.dropped) + sum(stage.failed), 0),
    calls: finishedBy('situate') + finishedBy('instruct'),
    waiting: stages.reduce((total, stage) => total + stage.lag + stage.inFlight, 0),
    ranges: Math.max(0, ...positions.map(({ finished }) => finished.length / 2)),
  }
}

export interface Call {
  stage: string
  input: string
}

/** A worker process, with what its log tells of its calls. */
export class Worker extends Situ {
  readonly log: Record<string, string>[] = []
  readonly startedAt = Date.now()
  readonly calls: Call[] = []
  #replies = 0
  #line = ''

  /** @param model - Latency of the stand-in in milliseconds, or flags that name another model. */
  constructor(ground: Ground, words: readonly string[], model: number | readonly string[]) {
    const flags = typeof model === 'number' ? ['--model', 'stand-in'] : model
    const env = typeof model === 'number' ? { SITU_STAND_IN_LATENCY_MS: String(model) } : {}
    super(['run', '--log-level', 'debug', ...flags, ...words, ...ground.flags], { env })
    this.child.stderr?.on('data', (text: string) => this.#read(text))
  }

  get callsInFlight(): number {
    return this.calls.length - this.#replies
  }

  /** Calls that were not committed when tasks moved to another worker: their replies are thrown away. */
  get callsLost(): number {
    return this.#lost.reduce((total, { uncommitted }) => total + Number(uncommitted), 0)
  }

  /** Tasks that moved to another worker while this one had them. */
  get tasksLost(): number {
    return this.log.filter(({ msg }) => msg === 'task lost').length
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal)
    await this.done
  }

  get #lost(): Record<string, string>[] {
    return this.log.filter(({ msg, task = '' }) => msg === 'task lost' && /-(situate|instruct)-/.test(task))
  }

  #read(text: string): void {
    const lines = `${this.#line}${text}`.split('\n')
    this.#line = lines.pop() ?? ''
    for (const line of lines) {
      // Beside the log there may be words for people.
      if (!line.startsWith('{')) continue
      const entry = JSON.parse(line)
      this.log.push(entry)
      const { msg, stage = '', input = '' } = entry
      if (msg === 'model call') this.calls.push({ stage, input })
      else if (msg === 'model reply') this.#replies++
    }
  }
}

/** Kills one of the workers that have calls in flight, once the outcomes of so many calls are committed. */
export async function killAt(
  gang: readonly Worker[],
  progress: () => Promise<Progress>,
  moment: number,
  random: () => number,
) {
  for (;;) {
    const { calls, waiting } = await progress()
    const busy = gang.filter(worker => worker.callsInFlight > 0)
    const worker = busy[Math.floor(random() * busy.length)] ?? gang[0]
    if (worker && (waiting === 0 || (calls >= moment && busy.length > 0))) {
      const inFlight = worker.callsInFlight
      await worker.end('SIGKILL')
      return { worker, inFlight }
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** Ids by topic; under `kept` and `repeats` those of the articles that became documents, and that were dropped as repeats. */
export type Ids = Record<string, string[]>

/** The topics whose ids do not depend on the order of work. */
export const chain = ['document', 'situation', 'instruction'] as const

export function idsOf(ground: Ground): Promise<Ids> {
  return withPipeline(ground, async pipeline => {
    const { transport, partitions } = pipeline
    const ids: Ids = {}
    const kept: string[] = []
    for (const topic of [...chain, 'deduped', 'dropped']) {
      const found: string[] = []
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { messages } of transport.read(topic, partition, 0)) {
          found.push(...messages.map(({ key }) => key ?? ''))
          if (topic === 'document') kept.push(...messages.flatMap(({ parent }) => parent ?? []))
        }
      }
      ids[topic] = found
    }
    return { ...ids, kept, repeats: await readRepeats(pipeline) }
  })
}

async function readRepeats({ transport, serde, partitions }: Pipeline): Promise<string[]> {
  const repeats: string[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read('dropped', partition, 0)) {
      for (const { value } of messages) {
        const dropped = value && (await serde.decodeOwn('dropped', value))
        if (dropped?.operator === 'dedupe-document') repeats.push(dropped.input ?? '')
      }
    }
  }
  return repeats
}

export function countTwice(ids: Ids): number {
  return Object.values(ids).reduce((total, list) => total + list.length - new Set(list).size, 0)
}

/**
 * Which of two equal articles is kept depends on the order of work: where it was the other one, the ids of its document
 * and of what was made of it differ rightly, and are not counted.
 */
export function countDifferent(left: Ids, right: Ids): number {
  const keptOnlyIn = (one: Ids, other: Ids) => new Set(other.repeats).intersection(new Set(one.kept)).size
  const swapped = Math.min(keptOnlyIn(left, right), keptOnlyIn(right, left))
  return chain.reduce((total, topic) => {
    return total + new Set(left[topic]).symmetricDifference(new Set(right[topic])).size - 2 * swapped
  }, 0)
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs: number,
  what: string,
  everyMs = 50,
): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
}
