import { routedTopic, type Stage, tasksOf } from '../chain/topology.ts'
import type { Pipeline } from '../pipeline.ts'
import { documentTopic } from '../searches/full-text.ts'
import type { TaskSpec } from '../transports/transport.ts'
import type { StageBinding } from './stage-binding.ts'

const pollMs = 50

/** Below which offset a task of this process has worked all of a topic; null for a task that it does not have. */
export type WorkedTo = (task: string, topic: string) => number | null

/**
 * Lets stages that look for documents wait until the stages of this run that make them have worked all that was there
 * before. They do not wait for what comes meanwhile, so that no stream of pages can hold them up for ever.
 */
export class DocumentsFirst {
  readonly #pipeline: Pipeline
  readonly #workedTo: WorkedTo
  #makers: readonly Stage[] = []

  constructor(pipeline: Pipeline, workedTo: WorkedTo) {
    this.#pipeline = pipeline
    this.#workedTo = workedTo
  }

  /** To be called before `of`. */
  async open(bindings: readonly StageBinding[]): Promise<void> {
    if (!bindings.some(looksForOwnDocuments)) return
    const stages = bindings.map(({ stage }) => stage)
    this.#makers = leadingTo(await documentTopic(this.#pipeline), stages)
  }

  /** What a stage has to wait for before it takes inputs; ends early where it is aborted. */
  of(binding: StageBinding): ((signal: AbortSignal) => Promise<void>) | undefined {
    if (this.#makers.length === 0 || !looksForOwnDocuments(binding)) return undefined
    return signal => this.#wait(signal)
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { clock, transport, partitions } = this.#pipeline
    for (const stage of this.#makers) {
      const tasks = tasksOf(stage, partitions)
      // Those that are sent on from one task to another come last.
      for (const topic of ['retry', stage.input, ...routedTopic(stage, partitions)]) {
        const bounds = await Promise.all(tasks.map(({ partition }) => transport.bounds(topic, partition)))
        for (const [index, task] of tasks.entries()) {
          while (!signal.aborted && !(await this.#hasWorked(task, topic, bounds[index]?.end ?? 0))) {
            await clock.sleep(pollMs, signal)
          }
        }
      }
    }
  }

  async #hasWorked(task: TaskSpec, topic: string, end: number): Promise<boolean> {
    const own = this.#workedTo(task.id, topic)
    if (own !== null) return own >= end
    // Another worker's record does not tell which of the requests are for it.
    return topic === 'retry' || this.#hasOtherWorked(task, topic, end)
  }

  /** The record of another worker's task may stand before the end where no message lies between. */
  async #hasOtherWorked({ id, partition }: TaskSpec, topic: string, end: number): Promise<boolean> {
    const { transport, serde } = this.#pipeline
    const message = await transport.get('task', id)
    const task = message && (await serde.decodeOwn('task', message.value))
    const next = task?.positions.find(position => position.topic === topic)?.next ?? 0
    if (next >= end) return true
    for await (const { messages } of transport.read(topic, partition, next, { maxMessages: 1 })) {
      const [message] = messages
      if (message) return message.offset >= end
    }
    return true
  }
}

function looksForOwnDocuments({ ports: { search } }: StageBinding): boolean {
  return search !== undefined && !search.isRemote
}

/** Those of the stages that lead to a topic, in the order of the chain. */
function leadingTo(topic: string, stages: readonly Stage[]): Stage[] {
  const last = stages.find(({ output }) => output === topic)
  return last ? [...leadingTo(last.input, stages), last] : []
}
