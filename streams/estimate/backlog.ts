import type { Task } from '../../schemas/records.ts'
import { type Stage, tasksOf } from '../chain/topology.ts'
import type { Pipeline } from '../pipeline.ts'
import { readStanding } from '../standing-records.ts'
import { Intake } from '../task/intake.ts'
import { Position } from '../task/position.ts'
import type { Message, TaskSpec } from '../transports/transport.ts'

export interface WaitingInput {
  /** As it lies in the stage's input topic. */
  input: Message
  /** Of the task that works it. */
  partition: number
  /** How many waiting inputs it stands for: 1 unless not all are read. */
  weight: number
}

/** What waits for the stages of a log now: behind the positions of their tasks, retries included. */
export class Backlog {
  readonly #pipeline: Pipeline
  readonly #tasks: ReadonlyMap<string, Task>
  /** Those of a variant that is not made yet are not there. */
  readonly #topics: ReadonlySet<string>
  readonly #most: number

  private constructor(pipeline: Pipeline, tasks: readonly Task[], topics: ReadonlySet<string>, most: number) {
    this.#pipeline = pipeline
    this.#tasks = new Map(tasks.map(task => [task.id, task]))
    this.#topics = topics
    this.#most = most
  }

  /** @param most - Inputs of a stage that are read at most; the others are taken to be like the first. */
  static async open(pipeline: Pipeline, most: number): Promise<Backlog> {
    const tasks = await readStanding(pipeline, 'task')
    const topics = await pipeline.transport.topics()
    return new Backlog(pipeline, tasks, new Set(topics.map(({ name }) => name)), most)
  }

  /** The records of the tasks. */
  get tasks(): readonly Task[] {
    return [...this.#tasks.values()]
  }

  /** @throws {SituError} What the transport throws. */
  async *of(stage: Stage, signal: AbortSignal): AsyncGenerator<WaitingInput> {
    const { partitions } = this.#pipeline
    for (const task of tasksOf(stage, partitions)) {
      const intake = new Intake({ ...this.#pipeline, stage, partition: task.partition })
      for (const topic of task.topics.filter(name => this.#topics.has(name))) {
        for await (const { message, weight } of this.#read(stage, task, topic, signal)) {
          const asked = await intake.read(message)
          if (!asked || asked.forward?.length === 0) continue
          yield { input: asked.input, partition: asked.forward?.[0]?.partition ?? task.partition, weight }
        }
      }
    }
  }

  async *#read(stage: Stage, { id, partition }: TaskSpec, topic: string, signal: AbortSignal) {
    const { transport, partitions } = this.#pipeline
    const { from, until } = topic === stage.input ? stage : {}
    const stored = this.#tasks.get(id)?.positions.find(position => position.topic === topic)
    const position = new Position(topic, stored ?? { topic, next: from?.[partition] ?? 0, finished: [] })
    const { start, end } = await transport.bounds(topic, partition)
    const first = Math.max(start, position.next)
    const last = Math.min(end, until?.[partition] ?? end)
    // Retries are of all stages: those of this one can't be told by their number.
    const most = topic === 'retry' ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(this.#most / partitions))
    const weight = Math.max(1, (last - first - finishedIn(stored?.finished ?? [])) / most)
    let left = most
    if (first >= last) return
    for await (const { messages, next } of transport.read(topic, partition, first, { signal })) {
      for (const message of messages) {
        if (message.offset >= last || left <= 0) return
        if (position.wasFinished(message.offset)) continue
        left--
        yield { message, weight }
      }
      if (next >= last) return
    }
  }
}

function finishedIn(pairs: readonly number[]): number {
  let count = 0
  for (let index = 0; index + 1 < pairs.length; index += 2) count += (pairs[index + 1] ?? 0) - (pairs[index] ?? 0) + 1
  return count
}
