import type { Noun } from '../../schemas/records.ts'
import { identify } from '../identity.ts'
import type { Pipeline } from '../pipeline.ts'
import { sum } from '../task/task-record.ts'
import type { Stage } from '../topology.ts'
import type { Message, Survey } from '../transports/transport.ts'
import { type PlacedStage, readVariants } from '../variants.ts'
import type { StageStatus } from './status.ts'

export interface Verified {
  /** What does not add up, a line each. */
  differences: string[]
  /** What could not be compared, a line each. */
  notes: string[]
}

/** What one stage made of its inputs, read from the topics. A foreign producer may give the same input more than once. */
class Outcomes {
  readonly inputs = new Counts()
  readonly outputs = new Counts()
  readonly dropped = new Counts()
  readonly failed = new Counts()
  /** Dead letters of inputs that could not be read: their ids are not known. */
  readonly unread = new Set<string>()

  /** Inputs with an output: of one that came n times, the times that were neither dropped nor failed. */
  get done(): number {
    let done = 0
    for (const parent of this.outputs.ids()) {
      done += Math.max(1, this.inputs.of(parent) - this.dropped.of(parent) - this.failed.of(parent))
    }
    return done
  }

  /** Outcomes of an input that is not there. */
  get strangers(): number {
    return [this.outputs, this.dropped, this.failed]
      .flatMap(kind => [...kind.ids()].map(parent => (this.inputs.of(parent) === 0 ? kind.of(parent) : 0)))
      .reduce((total, count) => total + count, 0)
  }

  /** Inputs with more outcomes than they came times. */
  get doubles(): number {
    const parents = new Set([...this.outputs.ids(), ...this.dropped.ids(), ...this.failed.ids()])
    return [...parents].filter(parent => {
      const outcomes = Math.min(1, this.outputs.of(parent)) + this.dropped.of(parent) + this.failed.of(parent)
      return outcomes > Math.max(1, this.inputs.of(parent))
    }).length
  }
}

/** How often each id came. */
class Counts {
  readonly #counts = new Map<string, number>()
  total = 0

  add(id: string): void {
    this.#counts.set(id, this.of(id) + 1)
    this.total++
  }

  of(id: string): number {
    return this.#counts.get(id) ?? 0
  }

  ids(): Iterable<string> {
    return this.#counts.keys()
  }

  get hasRepeats(): boolean {
    return this.total > this.#counts.size
  }
}

/**
 * Recomputes the conservation sums from the topics by parent id, up to the bounds of a survey, and compares them with
 * the counters of the same moment. What retention has deleted, or a run has changed meanwhile, is not compared.
 * Memory: the ids of all records.
 */
export async function verify(
  pipeline: Pipeline,
  survey: Survey,
  counted: Readonly<Record<string, StageStatus>>,
  stop: AbortSignal,
): Promise<Verified> {
  const { placed } = await readVariants(pipeline)
  const outcomes = await readOutcomes(pipeline, survey, placed, stop)
  const ingested = await countIngested(pipeline, survey, placed, stop)
  if (stop.aborted) return { differences: ['stopped before the end'], notes: [] }
  const gaps = await findGaps(pipeline, survey, placed)
  const isWhole = (...topics: string[]) => topics.every(topic => !gaps.has(topic))
  const differences = placed.flatMap(({ key, stage: { input, output } }) => {
    const [own, counts] = [outcomes.get(key), counted[key]]
    return own && counts ? compare(key, own, counts, { input, output, isWhole }) : []
  })
  const notes = [...gaps].map(([topic, why]) => `${topic}: ${why}; its records are not compared`)
  const done = counted.ingest?.done ?? 0
  if (done !== ingested && isWhole('page', ...articleTopics(placed))) {
    if (done < ingested && mayBeForeign(survey)) {
      notes.push(`ingest: ${ingested - done} records without a parent are of other producers`)
    } else differences.push(`ingest: done ${done} counted, ${ingested} records without a parent`)
  }
  return { differences, notes }
}

async function readOutcomes(
  pipeline: Pipeline,
  survey: Survey,
  placed: readonly PlacedStage[],
  stop: AbortSignal,
): Promise<Map<string, Outcomes>> {
  const outcomes = new Map(placed.map(({ key }) => [key, new Outcomes()]))
  const of = (operator: string, variant: string) => {
    const own = placed.find(({ stage }) => stage.name === operator && stage.variant === variant)
    return { own: (own && outcomes.get(own.key)) ?? new Outcomes(), droppedFrom: own ? droppedFromOf(own) : [] }
  }
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    for await (const message of records(pipeline, survey, stage.input, stop)) {
      if (isInRange(stage, message)) own.inputs.add(await idOf(pipeline, stage.operator.from, message))
    }
  }
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    for await (const { parent } of records(pipeline, survey, stage.output, stop)) {
      if (parent === null) continue
      own.outputs.add(parent)
    }
  }
  for await (const message of records(pipeline, survey, 'dropped', stop)) {
    const record = await pipeline.serde.decodeOwn('dropped', message.value)
    if (!record) continue
    const { operator, variant, input, id } = record
    const { own, droppedFrom } = of(operator, variant)
    if (message.offset >= (droppedFrom[message.partition] ?? 0)) own.dropped.add(input ?? id)
  }
  for await (const message of pipeline.transport.compacted('failed')) {
    if (stop.aborted) break
    const record = await pipeline.serde.decodeOwn('failed', message.value)
    if (!record) continue
    const { operator, variant, input, id } = record
    const { own } = of(operator, variant)
    if (input === null) own.unread.add(id)
    else own.failed.add(input)
  }
  return outcomes
}

/** The id that a stage gives its input: the key of what Situ wrote, and made from the content of what others did. */
async function idOf({ serde }: Pipeline, noun: Noun, { key, value, parent }: Message): Promise<string> {
  if (parent !== null || (noun !== 'page' && noun !== 'article')) return key ?? ''
  try {
    return identify(noun, await serde.decode(noun, value)).id
  } catch {
    return key ?? ''
  }
}

/** Where the log does not count what was written to it, others than Situ may have written too. */
function mayBeForeign({ topics }: Survey): boolean {
  return topics.some(({ written }) => written === null)
}

function isInRange({ from, until }: Stage, { partition, offset }: Message): boolean {
  return offset >= (from?.[partition] ?? 0) && offset < (until?.[partition] ?? Number.POSITIVE_INFINITY)
}

/** What a removed variant of the same name dropped lies before it. */
function droppedFromOf({ line, stage }: PlacedStage): readonly number[] {
  return line.record?.stages.find(({ operator }) => operator === stage.name)?.droppedFrom ?? []
}

function articleTopics(placed: readonly PlacedStage[]): string[] {
  return placed.filter(({ stage }) => stage.operator.to === 'article').map(({ stage }) => stage.output)
}

async function countIngested(
  pipeline: Pipeline,
  survey: Survey,
  placed: readonly PlacedStage[],
  stop: AbortSignal,
): Promise<number> {
  let ingested = 0
  for (const topic of ['page', ...articleTopics(placed)]) {
    for await (const { parent } of records(pipeline, survey, topic, stop)) if (parent === null) ingested++
  }
  return ingested
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
  const open = counted.inFlight + counted.lag
  const failed = own.failed.total + own.unread.size
  // Which of several same inputs is open can't be told.
  const mayBeOpen = own.inputs.hasRepeats && counted.done < own.done && counted.done >= own.done - open
  const done = mayBeOpen ? counted.done : own.done
  const finished = done + own.dropped.total + failed
  const results = [output, 'dropped', 'failed']
  // Inputs are told apart by id: where an old one is deleted, the same content may have come again.
  const pairs: [what: string, from: string[], counted: number, found: number][] = [
    ['in + lag', [input], counted.in + counted.lag, own.inputs.total],
    ['done', [input, output], counted.done, done],
    ['out', [output], counted.out, own.outputs.total],
    ['dropped', [input, 'dropped'], sum(counted.dropped), own.dropped.total],
    ['failed', [input, 'failed'], sum(counted.failed), failed],
    ['done + dropped + failed + open', [input, ...results], own.inputs.total, finished + open],
  ]
  const differences = pairs.flatMap(([what, from, left, right]) =>
    left === right || !isWhole(...from) ? [] : [`${name}: ${what}: ${left} counted, ${right} in the topics`],
  )
  // Of an input that came later than the survey a dead letter may be read.
  const { strangers } = own
  if (strangers > 0 && isWhole(input, 'failed')) {
    differences.push(`${name}: ${strangers} outcomes of inputs that are not there`)
  }
  const { doubles } = own
  if (doubles > 0) differences.push(`${name}: ${doubles} inputs with two outcomes`)
  return differences
}

/** The messages of a topic that were there at the survey. */
async function* records({ transport }: Pipeline, survey: Survey, topic: string, signal: AbortSignal) {
  for (const { partition, start, end } of survey.bounds.filter(bounds => bounds.topic === topic)) {
    if (start >= end) continue
    yield* upTo(transport.read(topic, partition, start, { signal }), end)
  }
}

async function* upTo(batches: AsyncIterable<{ messages: Message[]; next: number }>, end: number) {
  for await (const { messages, next } of batches) {
    for (const message of messages) if (message.offset < end) yield message
    if (next >= end) return
  }
}
