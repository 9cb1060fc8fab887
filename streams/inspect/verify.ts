import { type PlacedStage, readVariants } from '../chain/variants.ts'
import { isIngest } from '../ingest/ingest-messages.ts'
import { ingestNouns, isIngestNoun } from '../ingest/ingest-records.ts'
import type { Pipeline } from '../pipeline.ts'
import { readStanding, standingRecords } from '../standing-records.ts'
import { sum } from '../task/task-record.ts'
import type { Survey } from '../transports/transport.ts'
import { compareIngests, countIngested } from './ingested.ts'
import { Outcomes } from './outcomes.ts'
import { readTasks, type StageStatus } from './status.ts'
import { StageInputs, surveyed, type TaskRecords } from './surveyed.ts'

export interface Verified {
  /** What does not add up, a line each. */
  differences: string[]
  /** What could not be compared, a line each. */
  notes: string[]
}

/**
 * Recomputes the conservation sums from the topics by parent id, up to the bounds of a survey, and compares them with
 * the counters of the same moment; which inputs are open is read from the positions of the tasks. A run may go on
 * meanwhile: where a survey is not of one moment, what was worked after its counters is left out. What retention has
 * deleted is not compared. Memory: the ids of all records.
 */
export async function verify(
  pipeline: Pipeline,
  survey: Survey,
  counted: Readonly<Record<string, StageStatus>>,
  stop: AbortSignal,
): Promise<Verified> {
  const { placed } = await readVariants(pipeline)
  const tasks = { atSurvey: await readTasks(pipeline, survey), now: await readStanding(pipeline, 'task') }
  const outcomes = await readOutcomes(pipeline, survey, placed, tasks, stop)
  const open = ingestTopics(placed)
  const ingested = await countIngested(pipeline, survey, open, stop)
  if (stop.aborted) return { differences: ['stopped before the end'], notes: [] }
  const gaps = await findGaps(pipeline, survey, placed)
  const isWhole = (...topics: string[]) => topics.every(topic => !gaps.has(topic))
  const differences = placed.flatMap(({ key, stage: { input, output } }) => {
    const [own, counts] = [outcomes.get(key), counted[key]]
    return own && counts ? compare(key, own, counts, { input, output, isWhole }) : []
  })
  const notes = [...gaps].map(([topic, why]) => `${topic}: ${why}; its records are not compared`)
  for (const [key, { isMixed }] of outcomes) {
    if (isMixed)
      notes.push(`${key}: inputs that came more than once were worked meanwhile; its outcomes are not compared`)
  }
  if (isWhole(...open)) differences.push(...compareIngests(ingested, tasks))
  if (ingested.foreign > 0) {
    if (mayBeForeign(survey)) notes.push(`ingest: ${ingested.foreign} records are of other producers`)
    else differences.push(`ingest: ${ingested.foreign} records that no ingest has written`)
  }
  return { differences, notes }
}

async function readOutcomes(
  pipeline: Pipeline,
  survey: Survey,
  placed: readonly PlacedStage[],
  tasks: TaskRecords,
  stop: AbortSignal,
): Promise<Map<string, Outcomes>> {
  const outcomes = new Map(placed.map(({ key }) => [key, new Outcomes()]))
  const of = (operator: string, variant: string) => {
    const own = placed.find(({ stage }) => stage.name === operator && stage.variant === variant)
    return { own: (own && outcomes.get(own.key)) ?? new Outcomes(), droppedFrom: own ? droppedFromOf(own) : [] }
  }
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    const inputs = new StageInputs(pipeline, survey, stage, tasks)
    for await (const { id, state } of inputs.read(stop)) own.addInput(id, state)
    own.sentTwice = inputs.sentTwice
  }
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    for await (const { parent } of surveyed(pipeline, survey, stage.output, stop)) {
      if (parent !== null && !isIngest(parent)) own.add('outputs', parent)
    }
  }
  for await (const message of surveyed(pipeline, survey, 'dropped', stop)) {
    const record = await pipeline.serde.decodeOwn('dropped', message.value)
    if (!record) continue
    const { operator, variant, input, id } = record
    const { own, droppedFrom } = of(operator, variant)
    if (message.offset >= (droppedFrom[message.partition] ?? 0)) own.add('dropped', input ?? id)
  }
  for await (const { record } of standingRecords(pipeline, 'failed')) {
    if (stop.aborted) break
    const { operator, variant, input, id } = record
    const { own } = of(operator, variant)
    if (input === null) own.unread.add(id)
    else own.add('failed', input)
  }
  return outcomes
}

/** Where the log does not count what was written to it, others than Situ may have written too. */
function mayBeForeign({ topics }: Survey): boolean {
  return topics.some(({ written }) => written === null)
}

/** What a removed variant of the same name dropped lies before it. */
function droppedFromOf({ line, stage }: PlacedStage): readonly number[] {
  return line.record?.stages.find(({ operator }) => operator === stage.name)?.droppedFrom ?? []
}

/** Topics that ingests write: their own, and those of the stages that write the same nouns. */
function ingestTopics(placed: readonly PlacedStage[]): string[] {
  const written = placed.filter(({ stage }) => isIngestNoun(stage.operator.to)).map(({ stage }) => stage.output)
  return [...new Set([...ingestNouns, ...written])]
}

/** Topics that were not read as they stood at the survey, and why. */
async function findGaps(
  { transport }: Pipeline,
  { bounds }: Survey,
  placed: readonly PlacedStage[],
): Promise<Map<string, string>> {
  const gaps = new Map<string, string>()
  const read = new Set([...placed.flatMap(({ stage }) => [stage.input, stage.output]), 'dropped', 'failed'])
  for (const { topic, partition, end } of bounds) {
    if (!read.has(topic)) continue
    const now = await transport.bounds(topic, partition)
    // The newest of each key is all there is of a compacted topic: no older state of it can be read.
    if (topic === 'failed') {
      if (now.end > end) gaps.set(topic, 'it changed while this was counting')
    } else if (now.start > 0) gaps.set(topic, 'old records are deleted')
  }
  return gaps
}

function compare(
  name: string,
  own: Outcomes,
  counted: StageStatus,
  { input, output, isWhole }: { input: string; output: string; isWhole: (...topics: string[]) => boolean },
): string[] {
  const { open } = own
  const failed = own.failed.total + own.unread.size
  // Which of several same inputs is open can't be told.
  const mayBeOpen = own.inputs.hasRepeats && counted.done < own.done && counted.done >= own.done - open
  const done = mayBeOpen ? counted.done : own.done
  const finished = done + own.dropped.total + failed
  const results = [output, 'dropped', 'failed']
  // Inputs are told apart by id: where an old one is deleted, the same content may have come again.
  const pairs: [what: string, from: string[], counted: number, found: number][] = [
    ['in + lag', [input], counted.in - counted.inFlight + open, own.inputs.total],
    ['done', [input, output], counted.done, done],
    ['out', [output], counted.out, own.outputs.total],
    ['dropped', [input, 'dropped'], sum(counted.dropped), own.dropped.total],
    ['failed', [input, 'failed'], sum(counted.failed), failed],
    ['done + dropped + failed + open', [input, ...results], own.inputs.total, finished + open],
  ]
  const differences = (own.isMixed ? pairs.slice(0, 1) : pairs).flatMap(([what, from, left, right]) =>
    left === right || !isWhole(...from) ? [] : [`${name}: ${what}: ${left} counted, ${right} in the topics`],
  )
  // Of an input that came later than the survey a dead letter may be read.
  const { strangers } = own
  if (strangers > 0 && isWhole(input, 'failed')) {
    differences.push(`${name}: ${strangers} outcomes of inputs that are not there`)
  }
  const { doubles, sentTwice } = own
  if (doubles > 0 && !own.isMixed) differences.push(`${name}: ${doubles} inputs with two outcomes`)
  if (sentTwice > 0) differences.push(`${name}: ${sentTwice} inputs sent on twice to the task that they belong to`)
  return differences
}
