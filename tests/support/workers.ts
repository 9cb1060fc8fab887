import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../streams/config.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { openPipeline, type Pipeline } from '../../streams/pipeline.ts'
import { sum } from '../../streams/task/task-record.ts'
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
  const config = {
    brokers: services.brokers.join(','),
    registry: services.registry ?? '',
    prefix,
    partitions: String(partitions),
  }
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

/** Writes documents into a file and ingests them. `--partitions` makes the topics. */
export async function ingestDocuments(ground: Ground, folder: string, count: number): Promise<void> {
  const input = join(folder, `documents-${count}.jsonl`)
  writeFileSync(
    input,
    readDocuments(count)
      .map(document => `${JSON.stringify(document)}\n`)
      .join(''),
  )
  await mustSitu(['ingest', input, ...ground.flags])
}

/** Inputs with an outcome and inputs that wait, over all operators; `calls` are those of the operators with a model. */
export async function progressOf(pipeline: Pipeline): Promise<{ done: number; waiting: number; calls: number }> {
  const { operators } = await readStatus(pipeline, await pipeline.transport.survey('task'))
  const stages = Object.values(operators)
  const finishedBy = (name: string) => (operators[name]?.in ?? 0) - (operators[name]?.inFlight ?? 0)
  return {
    done: stages.reduce((total, stage) => total + stage.done + sum(stage.dropped) + sum(stage.failed), 0),
    calls: finishedBy('situate') + finishedBy('instruct'),
    waiting: stages.reduce((total, stage) => total + stage.lag + stage.inFlight, 0),
  }
}

export interface Call {
  stage: string
  input: string
}

/** A worker process, with what its log tells of its calls. */
export class Worker extends Situ {
  /** @param model - Latency of the stand-in in milliseconds, or flags that name another model. */
  constructor(ground: Ground, words: readonly string[], model: number | readonly string[]) {
    const flags = typeof model === 'number' ? ['--model', 'stand-in'] : model
    const env = typeof model === 'number' ? { SITU_STAND_IN_LATENCY_MS: String(model) } : {}
    super(['run', '--log-level', 'debug', ...flags, ...words, ...ground.flags], { env })
  }

  get log(): Record<string, string>[] {
    return this.stderr.split('\n').flatMap(line => {
      try {
        return line.startsWith('{') ? [JSON.parse(line)] : []
      } catch {
        return []
      }
    })
  }

  get calls(): Call[] {
    return this.log.flatMap(({ msg, stage = '', input = '' }) => (msg === 'model call' ? [{ stage, input }] : []))
  }

  get callsInFlight(): number {
    const messages = this.log.map(({ msg }) => msg)
    return messages.filter(msg => msg === 'model call').length - messages.filter(msg => msg === 'model reply').length
  }

  /** Calls in flight when tasks moved to another worker: their replies are thrown away. */
  get callsLost(): number {
    return this.log.reduce((total, { msg, open }) => total + (msg === 'task lost' ? Number(open) : 0), 0)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal)
    await this.done
  }
}

/** Kills one of the workers that have calls in flight, once the outcomes of so many calls are committed. */
export function killAt(gang: readonly Worker[], ground: Ground, moment: number, random: () => number) {
  return withPipeline(ground, async pipeline => {
    for (;;) {
      const { calls, waiting } = await progressOf(pipeline)
      const busy = gang.filter(worker => worker.callsInFlight > 0)
      const worker = busy[Math.floor(random() * busy.length)] ?? gang[0]
      if (worker && (waiting === 0 || (calls >= moment && busy.length > 0))) {
        const inFlight = worker.callsInFlight
        await worker.end('SIGKILL')
        return { worker, inFlight }
      }
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })
}

/** Ids by topic. */
export type Ids = Record<string, string[]>

/** The topics whose ids do not depend on the order of work. */
export const chain = ['document', 'situation', 'instruction'] as const

export function idsOf(ground: Ground): Promise<Ids> {
  return withPipeline(ground, async ({ transport, partitions }) => {
    const ids: Ids = {}
    for (const topic of [...chain, 'deduped', 'dropped']) {
      const found: string[] = []
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { messages } of transport.read(topic, partition, 0))
          found.push(...messages.map(({ key }) => key ?? ''))
      }
      ids[topic] = found
    }
    return ids
  })
}

export function countTwice(ids: Ids): number {
  return Object.values(ids).reduce((total, list) => total + list.length - new Set(list).size, 0)
}

export function countDifferent(left: Ids, right: Ids, topics: readonly string[] = chain): number {
  return topics.reduce((total, topic) => {
    return total + new Set(left[topic]).symmetricDifference(new Set(right[topic])).size
  }, 0)
}

export async function until(condition: () => boolean | Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
