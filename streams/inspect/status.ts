import type { Counters, Task } from '../../schemas/records.ts'
import type { Stage } from '../chain/topology.ts'
import { type PlacedStage, readVariants } from '../chain/variants.ts'
import { isIngestNoun } from '../ingest/ingest-records.ts'
import type { Pipeline } from '../pipeline.ts'
import { commonestOpening, type OpeningShare } from '../task/opening-window.ts'
import { recordsPerSecond } from '../task/pace.ts'
import { addUp, finished, sum } from '../task/task-record.ts'
import type { Survey, TopicInfo } from '../transports/transport.ts'

export interface StageStatus extends Counters {
  /** Inputs that no task has taken yet; on Kafka by their offsets, of which transactions take some. */
  lag: number
  /** Inputs finished a second, over about the last minute. */
  recordsPerSecond: number
  commits: number
  /** Times that a worker took one of its tasks: at a start, a restart or a rebalance. */
  taken: number
  /** What model calls waited for when a worker last wrote that down, and when; null for nothing. */
  waiting: { cause: string; since: string } | null
  /** The commonest opening of its last outputs; null where it makes no instructions. */
  opening: OpeningShare | null
}

export interface TopicStatus {
  /** Null where nobody counts them: of some topics on Kafka. */
  records: number | null
  /** On Kafka as its log takes them on disk, compressed, one replica; null where the brokers don't tell. */
  bytes: number | null
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
export async function readTasks({ serde }: Pipeline, { messages }: Survey): Promise<Task[]> {
  const tasks = await Promise.all(messages.map(({ value }) => serde.decodeOwn('task', value)))
  return tasks.filter(task => task !== null)
}

/** The state of the whole log, from counters: its time does not grow with the log. */
export async function readStatus(pipeline: Pipeline, survey: Survey): Promise<Status> {
  const tasks = await readTasks(pipeline, survey)
  const infos = survey.topics
  const now = pipeline.clock.now()
  const operators: Record<string, StageStatus> = {}
  const ingest = tasks.filter(task => task.stage === 'ingest')
  if (ingest.length > 0) operators.ingest = statusOf(ingest, 0, now)
  const { placed, topics } = await readVariants(pipeline)
  for (const { key, stage } of placed) {
    const own = tasksOfStage(tasks, stage)
    operators[key] = statusOf(own, lagOf(survey, stage, own), now)
  }
  const differences = [
    ...checkOutcomes(operators),
    ...checkTopics(placed, operators, survey),
    ...checkDrops(tasks, infos),
  ]
  return {
    topics: Object.fromEntries(
      topics.map(({ key, topic }) => {
        const counted = countedIn(topic, placed, operators, tasks)
        return [
          key,
          topicStatus(
            infos.find(info => info.name === topic),
            counted,
          ),
        ]
      }),
    ),
    operators,
    conservation: differences.length === 0 ? 'ok' : 'broken',
    differences,
    notes: [],
  }
}

function statusOf(tasks: readonly Task[], lag: number, now: number): StageStatus {
  const total = (of: (task: Task) => number) => tasks.reduce((sum, task) => sum + of(task), 0)
  return {
    ...addUp(tasks),
    lag,
    recordsPerSecond: Math.round(10 * total(task => recordsPerSecond(task, now))) / 10,
    commits: total(({ work }) => work?.commits ?? 0),
    taken: total(({ work }) => work?.taken ?? 0),
    waiting: waitingOf(tasks),
    opening: commonestOpening(tasks.map(({ work }) => work?.openings)),
  }
}

function waitingOf(tasks: readonly Task[]): StageStatus['waiting'] {
  const [newest] = tasks.filter(({ work }) => work?.waiting).sort((left, right) => right.time - left.time)
  return newest?.work?.waiting ? { cause: newest.work.waiting, since: new Date(newest.time).toISOString() } : null
}

/** Records of a topic by the counters of the tasks, for backends that can't tell; null for topics that no task counts. */
function countedIn(
  topic: string,
  placed: readonly PlacedStage[],
  operators: Readonly<Record<string, StageStatus>>,
  tasks: readonly Task[],
): number | null {
  if (topic === 'task') return tasks.length
  const counters = Object.values(operators)
  if (topic === 'dropped') return counters.reduce((total, stage) => total + sum(stage.dropped), 0)
  if (topic === 'failed') return counters.reduce((total, stage) => total + sum(stage.failed), 0)
  const writer = placed.find(({ stage }) => stage.output === topic)
  // What is ingested comes from elsewhere too.
  if (writer && !isIngestNoun(writer.stage.operator.to)) return operators[writer.key]?.out ?? null
  const reader = placed.find(({ stage }) => stage.input === topic && !stage.from && !stage.until)
  if (reader) return (operators[reader.key]?.in ?? 0) + (operators[reader.key]?.lag ?? 0)
  return (writer && operators[writer.key]?.out) ?? null
}

function topicStatus(info: TopicInfo | undefined, counted: number | null): TopicStatus {
  const time = new Date(info?.newest ?? Number.NaN)
  // A foreign producer may have written any number, such as nanoseconds.
  const newest = Number.isNaN(time.getTime()) ? null : time.toISOString()
  return { records: info?.records ?? (info ? counted : 0), bytes: info ? info.bytes : 0, newest }
}

/**
 * Inputs that wait for stages of a line which lie before chosen ones and are not chosen themselves: a run of those that
 * are finds nothing to do while these wait.
 *
 * @returns By the name of the stage; those without any are left out.
 */
export async function waitingBefore(
  pipeline: Pipeline,
  line: readonly Stage[],
  chosen: readonly Stage[],
): Promise<Record<string, number>> {
  const before = new Set<Stage>()
  const walk = (to: Stage) => {
    for (const stage of line.filter(({ output }) => output === to.input)) {
      if (!before.has(stage)) walk(stage)
      before.add(stage)
    }
  }
  for (const stage of chosen) walk(stage)
  const left = [...before].filter(({ name }) => !chosen.some(own => own.name === name))
  if (left.length === 0) return {}
  const survey = await pipeline.transport.survey('task')
  const tasks = await readTasks(pipeline, survey)
  const lags = left.map(stage => [stage.name, lagOf(survey, stage, tasksOfStage(tasks, stage))] as const)
  return Object.fromEntries(lags.filter(([, lag]) => lag > 0))
}

function tasksOfStage(tasks: readonly Task[], { name, variant }: Stage): Task[] {
  return tasks.filter(task => task.stage === name && task.variant === variant)
}

/** What waits in the input, and what waits for the task that it was sent on to. */
function lagOf({ bounds }: Survey, stage: Stage, tasks: readonly Task[]): number {
  let lag = 0
  for (const { topic, partition, start, end } of bounds) {
    if (topic !== stage.input && topic !== stage.routed) continue
    const { from, until } = topic === stage.input ? stage : {}
    const task = tasks.find(task => task.partition === partition)
    const position = task?.positions.find(position => position.topic === topic)
    const last = Math.min(end, until?.[partition] ?? end)
    lag += Math.max(0, last - Math.max(start, position?.next ?? from?.[partition] ?? 0))
    const pairs = position?.finished ?? []
    for (let index = 0; index + 1 < pairs.length; index += 2) lag -= (pairs[index + 1] ?? 0) - (pairs[index] ?? 0) + 1
    if (topic === stage.input) lag -= task?.counters.inFlight ?? 0
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
function checkTopics(
  placed: readonly PlacedStage[],
  operators: Readonly<Record<string, StageStatus>>,
  survey: Survey,
): string[] {
  const differences: string[] = []
  for (const { key, stage } of placed) {
    const { in: taken = 0, lag = 0, out = 0 } = operators[key] ?? {}
    differences.push(...compare(`${key}: in + lag against ${stage.input}`, taken + lag, inRange(survey, stage)))
    // What is ingested comes from elsewhere too.
    if (isIngestNoun(stage.operator.to)) continue
    differences.push(...compare(`${key}: out against ${stage.output}`, out, writtenTo(survey.topics, stage.output)))
  }
  const failed = Object.values(operators).reduce((total, stage) => total + sum(stage.failed), 0)
  const standing = survey.topics.find(info => info.name === 'failed')?.records ?? null
  return [...differences, ...compare('failed', failed, standing)]
}

/** The tasks of variants that were removed count too: their drops are still there. */
function checkDrops(tasks: readonly Task[], infos: readonly TopicInfo[]): string[] {
  const counted = addUp(tasks.filter(task => task.stage !== 'ingest'))
  return compare('dropped', sum(counted.dropped), writtenTo(infos, 'dropped'))
}

function compare(what: string, counted: number, held: number | null): string[] {
  return held === null || held === counted ? [] : [`${what}: ${counted} counted, ${held} in the log`]
}

function writtenTo(infos: readonly TopicInfo[], topic: string): number | null {
  return infos.find(info => info.name === topic)?.written ?? null
}

/** Messages ever written to the range of a stage; where the log counts them, its offsets have no gaps. */
function inRange({ topics, bounds }: Survey, { input, from, until }: Stage): number | null {
  const written = writtenTo(topics, input)
  if (written === null) return null
  return bounds
    .filter(({ topic }) => topic === input)
    .reduce((left, { partition, end }) => {
      const first = Math.min(end, from?.[partition] ?? 0)
      const last = Math.max(first, Math.min(end, until?.[partition] ?? end))
      return left - first - (end - last)
    }, written)
}
