import type { Task } from '../../schemas/records.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { type Ground, withPipeline } from './workers.ts'

interface Commit {
  /** When it was written, ms. */
  time: number
  task: Task
}

interface Input {
  offset: number
  /** When it was written, ms. */
  time: number
}

/**
 * Reads every task record that was ever committed, and when each input came. It needs a log that keeps the former
 * values of a compacted topic, as Kafka does for as long as a run takes.
 */
export function readTaskHistory(ground: Ground): Promise<TaskHistory> {
  return withPipeline(ground, async pipeline => {
    const commits = new Map<string, Commit[]>()
    for (let partition = 0; partition < pipeline.partitions; partition++) {
      for await (const { messages } of pipeline.transport.read('task', partition, 0)) {
        for (const { value, timestamp } of messages) {
          if (value === null) continue
          const task = await pipeline.serde.decode('task', value)
          if (task.positions.length === 0) continue
          commits.set(task.id, [...(commits.get(task.id) ?? []), { time: timestamp, task }])
        }
      }
    }
    const inputs = new Map<string, Input[]>()
    for (const [id, [first]] of commits) {
      const topic = first?.task.positions[0]?.topic
      if (first && topic) inputs.set(id, await readInputs(pipeline, topic, first.task.partition))
    }
    return new TaskHistory(commits, inputs)
  })
}

async function readInputs({ transport }: Pipeline, topic: string, partition: number): Promise<Input[]> {
  const inputs: Input[] = []
  for await (const { messages } of transport.read(topic, partition, 0)) {
    inputs.push(...messages.map(({ offset, timestamp }) => ({ offset, time: timestamp })))
  }
  return inputs
}

/** What the commits of all tasks were, one after the other. */
export class TaskHistory {
  readonly #commits: ReadonlyMap<string, readonly Commit[]>
  readonly #inputs: ReadonlyMap<string, readonly Input[]>

  constructor(commits: ReadonlyMap<string, readonly Commit[]>, inputs: ReadonlyMap<string, readonly Input[]>) {
    this.#commits = commits
    this.#inputs = inputs
  }

  get commits(): number {
    return this.#commits.values().reduce((total, own) => total + own.length, 0)
  }

  /** Commits that took something back: a finished offset, a count, or the epoch of the owner. */
  get rewound(): number {
    let count = 0
    for (const own of this.#commits.values()) {
      for (const [index, { task }] of own.entries()) {
        const before = own[index - 1]?.task
        if (before && isBehind(task, before)) count++
      }
    }
    return count
  }

  /** Inputs of all tasks with an outcome that was committed by this moment, ms. */
  finishedBy(moment: number): number {
    return this.#commits.values().reduce((total, own) => {
      const last = own.findLast(({ time }) => time <= moment)
      return total + (last ? finishedIn(last.task) : 0)
    }, 0)
  }

  /** Inputs of all tasks whose outcome was committed later, ms. */
  finishedAfter(moment: number): number {
    return this.finishedBy(Number.POSITIVE_INFINITY) - this.finishedBy(moment)
  }

  /** The longest time in which an input waited for a task and the task committed nothing. */
  longestIdle({ from, to = Number.POSITIVE_INFINITY, faults = [] }: Span): Idle {
    let longest: Idle = { seconds: 0, task: 'none', from, to: from }
    for (const [id, commits] of this.#commits) {
      const open = new OpenInputs(this.#inputs.get(id) ?? [])
      let last = from
      for (const { time, task } of commits) {
        if (last >= to) break
        const oldest = open.oldest?.time
        const [begin, end] = [Math.max(last, oldest ?? Number.POSITIVE_INFINITY), Math.min(time, to)]
        const seconds = begin < end ? longestPart(begin, end, faults) / 1000 : 0
        if (seconds > longest.seconds) longest = { seconds, task: id, from: begin, to: end }
        last = Math.max(from, time)
        open.finish(task)
      }
    }
    return longest
  }
}

/** A time, in ms, in which a task did nothing; `seconds` is the longest part of it between two faults. */
export interface Idle {
  seconds: number
  task: string
  from: number
  to: number
}

/** Where idle time is looked for; all in ms. */
interface Span {
  from: number
  to?: number
  /** An idle time with faults in it, in their order, counts from one to the next. */
  faults?: readonly number[]
}

function longestPart(begin: number, end: number, faults: readonly number[]): number {
  const moments = [begin, ...faults.filter(fault => fault > begin && fault < end), end]
  return Math.max(...moments.slice(1).map((moment, index) => moment - (moments[index] ?? 0)))
}

/** Inputs of a task that are not finished. */
class OpenInputs {
  readonly #inputs: readonly Input[]
  #first = 0
  #finished: readonly number[] = []
  #next = 0

  constructor(inputs: readonly Input[]) {
    this.#inputs = inputs
  }

  get oldest(): Input | undefined {
    for (let index = this.#first; index < this.#inputs.length; index++) {
      const input = this.#inputs[index]
      if (input && !isIn(this.#finished, input.offset - this.#next)) return input
    }
    return undefined
  }

  finish({ positions: [position] }: Task): void {
    if (!position) return
    this.#next = position.next
    this.#finished = position.finished
    while ((this.#inputs[this.#first]?.offset ?? Number.POSITIVE_INFINITY) < position.next) this.#first++
  }
}

function isIn(pairs: readonly number[], offset: number): boolean {
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    if (offset >= (pairs[index] ?? 0) && offset <= (pairs[index + 1] ?? 0)) return true
  }
  return false
}

function isBehind(task: Task, before: Task): boolean {
  if (task.epoch < before.epoch || task.counters.in - task.counters.inFlight < finishedIn(before)) return true
  return before.positions.some(({ topic, next, finished }) => {
    const now = task.positions.find(position => position.topic === topic)
    if (!now || now.next < next) return true
    for (let index = 0; index + 1 < finished.length; index += 2) {
      for (let offset = next + (finished[index] ?? 0); offset <= next + (finished[index + 1] ?? 0); offset++) {
        if (offset >= now.next && !isIn(now.finished, offset - now.next)) return true
      }
    }
    return false
  })
}

function finishedIn({ counters }: Task): number {
  return counters.in - counters.inFlight
}
