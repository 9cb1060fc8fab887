import type { Counters, Task } from '../../schemas/records.ts'
import type { Pipeline } from '../pipeline.ts'
import { addUp, finished, sum } from '../task/task-record.ts'
import { stages, topicNouns } from '../topology.ts'
import type { Survey, TopicInfo } from '../transports/transport.ts'

export interface StageStatus extends Counters {
  /** Inputs that no task has taken yet. */
  lag: number
}

export interface TopicStatus {
  records: number
  bytes: number
  /** ISO time of the newest message; null for an empty topic. */
  newest: string | null
}

/** What `situ topics --json` prints. */
export interface Status {
  topics: Record<string, TopicStatus>
  operators: Record<string, StageStatus>
  conservation: 'ok' | 'broken'
  /** What does not add up, a line each. */
  differences: string[]
  /** What could not be compared, a line each. */
  notes: string[]
}

/** The task records of a survey of the topic `task`. */
export function readTasks({ serde }: Pipeline, { messages }: Survey): Promise<Task[]> {
  return Promise.all(messages.map(({ value }) => serde.decode('task', value)))
}

/** The state of the whole log, from counters: its time does not grow with the log. */
export async function readStatus(pipeline: Pipeline, survey: Survey): Promise<Status> {
  const tasks = await readTasks(pipeline, survey)
  const infos = survey.topics
  const operators: Record<string, StageStatus> = {}
  const ingest = tasks.filter(task => task.stage === 'ingest')
  if (ingest.length > 0) operators.ingest = { ...addUp(ingest), lag: 0 }
  for (const { name, input } of stages) {
    const own = tasks.filter(task => task.stage === name)
    operators[name] = { ...addUp(own), lag: lagOf(survey, input, own) }
  }
  const differences = [...checkOutcomes(operators), ...checkTopics(operators, infos)]
  return {
    topics: Object.fromEntries(topicNouns.map(noun => [noun, topicStatus(infos.find(info => info.name === noun))])),
    operators,
    conservation: differences.length === 0 ? 'ok' : 'broken',
    differences,
    notes: [],
  }
}

function topicStatus(info: TopicInfo | undefined): TopicStatus {
  const newest = info?.newest ? new Date(info.newest).toISOString() : null
  return { records: info?.records ?? 0, bytes: info?.bytes ?? 0, newest }
}

function lagOf({ bounds }: Survey, input: string, tasks: readonly Task[]): number {
  let lag = 0
  for (const { partition, start, end } of bounds.filter(({ topic }) => topic === input)) {
    const task = tasks.find(task => task.partition === partition)
    const position = task?.positions.find(({ topic }) => topic === input)
    lag += end - Math.max(start, position?.next ?? 0)
    const pairs = position?.finished ?? []
    for (let index = 0; index + 1 < pairs.length; index += 2) lag -= (pairs[index + 1] ?? 0) - (pairs[index] ?? 0) + 1
    lag -= task?.counters.inFlight ?? 0
  }
  return Math.max(0, lag)
}

/** Inputs = done + dropped + failed + in flight, for every operator. */
function checkOutcomes(operators: Readonly<Record<string, StageStatus>>): string[] {
  return Object.entries(operators).flatMap(([name, counters]) => {
    const outcomes = finished(counters) + counters.inFlight
    return outcomes === counters.in ? [] : [`${name}: in ${counters.in}, but outcomes ${outcomes}`]
  })
}

/** The counters of the tasks against those that the log keeps of its topics; the latter may be unknown. */
function checkTopics(operators: Readonly<Record<string, StageStatus>>, infos: readonly TopicInfo[]): string[] {
  const differences: string[] = []
  const written = (topic: string) => infos.find(info => info.name === topic)?.written ?? null
  const compare = (what: string, counted: number, held: number | null) => {
    if (held !== null && held !== counted) differences.push(`${what}: ${counted} counted, ${held} in the log`)
  }
  for (const { name, input } of stages) {
    const stage = operators[name]
    if (stage) compare(`${name}: in + lag against ${input}`, stage.in + stage.lag, written(input))
  }
  const total = (of: (stage: StageStatus, name: string) => number) =>
    Object.entries(operators).reduce((sum, [name, stage]) => sum + of(stage, name), 0)
  for (const { name, output } of stages) {
    if (output === 'article') continue
    const outputs = total((stage, other) =>
      stages.find(({ name }) => name === other)?.output === output ? stage.out : 0,
    )
    compare(`${name}: out against ${output}`, outputs, written(output))
  }
  const dropped = total((stage, name) => (name === 'ingest' ? 0 : sum(stage.dropped)))
  compare('dropped', dropped, written('dropped'))
  const failed = infos.find(info => info.name === 'failed')?.records ?? null
  compare(
    'failed',
    total(stage => sum(stage.failed)),
    failed,
  )
  return differences
}
