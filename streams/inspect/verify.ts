import type { Pipeline } from '../pipeline.ts'
import { sum } from '../task/task-record.ts'
import type { Stage } from '../topology.ts'
import type { Message, Survey } from '../transports/transport.ts'
import { type PlacedStage, readVariants } from '../variants.ts'
import type { StageStatus } from './status.ts'

/** What one stage made of its inputs, read from the topics. */
class Outcomes {
  readonly inputs = new Set<string>()
  readonly done = new Set<string>()
  out = 0
  readonly dropped = new Set<string>()
  readonly failed = new Set<string>()
  /** Outcomes of an input that is not there. */
  strangers = 0
  /** Inputs with more than one kind of outcome, or dropped or failed twice. */
  doubles = 0

  note(into: Set<string>, parent: string): void {
    if (!this.inputs.has(parent)) this.strangers++
    const others = [this.done, this.dropped, this.failed].filter(kind => kind !== into)
    const isDouble = others.some(kind => kind.has(parent)) || (into !== this.done && into.has(parent))
    if (isDouble) this.doubles++
    into.add(parent)
  }
}

/**
 * Recomputes the conservation sums from the topics by parent id, up to the bounds of a survey, and compares them with
 * the counters of the same moment. Memory: the ids of all records.
 *
 * @returns A line for each difference.
 */
export async function verify(
  pipeline: Pipeline,
  survey: Survey,
  counted: Readonly<Record<string, StageStatus>>,
  stop: AbortSignal,
): Promise<string[]> {
  const { placed } = await readVariants(pipeline)
  const outcomes = new Map(placed.map(({ key }) => [key, new Outcomes()]))
  const of = (operator: string, variant: string) => {
    const own = placed.find(({ stage }) => stage.name === operator && stage.variant === variant)
    return { own: (own && outcomes.get(own.key)) ?? new Outcomes(), droppedFrom: own ? droppedFromOf(own) : [] }
  }
  let ingested = 0
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    for await (const message of records(pipeline, survey, stage.input, stop)) {
      if (isInRange(stage, message)) own.inputs.add(message.key ?? '')
    }
  }
  for (const { stage } of placed) {
    const { own } = of(stage.name, stage.variant)
    for await (const { parent } of records(pipeline, survey, stage.output, stop)) {
      if (parent === null) continue
      own.note(own.done, parent)
      own.out++
    }
  }
  const articles = placed.filter(({ stage }) => stage.operator.to === 'article').map(({ stage }) => stage.output)
  for (const topic of ['page', ...articles]) {
    for await (const { parent } of records(pipeline, survey, topic, stop)) if (parent === null) ingested++
  }
  for await (const message of records(pipeline, survey, 'dropped', stop)) {
    const { operator, variant, input, id } = await pipeline.serde.decode('dropped', message.value)
    const { own, droppedFrom } = of(operator, variant)
    if (message.offset >= (droppedFrom[message.partition] ?? 0)) own.note(own.dropped, input ?? id)
  }
  for await (const message of pipeline.transport.compacted('failed')) {
    const { operator, variant, input, id } = await pipeline.serde.decode('failed', message.value)
    const { own } = of(operator, variant)
    if (input === null) own.failed.add(id)
    else own.note(own.failed, input)
  }
  const differences = [...outcomes].flatMap(([name, own]) => compare(name, own, counted[name]))
  const done = counted.ingest?.done ?? 0
  if (done !== ingested) differences.push(`ingest: done ${done} counted, ${ingested} records without a parent`)
  return stop.aborted ? ['stopped before the end'] : differences
}

function isInRange({ from, until }: Stage, { partition, offset }: Message): boolean {
  return offset >= (from?.[partition] ?? 0) && offset < (until?.[partition] ?? Number.POSITIVE_INFINITY)
}

/** What a removed variant of the same name dropped lies before it. */
function droppedFromOf({ line, stage }: PlacedStage): readonly number[] {
  return line.record?.stages.find(({ operator }) => operator === stage.name)?.droppedFrom ?? []
}

function compare(name: string, own: Outcomes, counted: StageStatus | undefined): string[] {
  if (!counted) return []
  const open = counted.inFlight + counted.lag
  const pairs: [what: string, counted: number, found: number][] = [
    ['in + lag', counted.in + counted.lag, own.inputs.size],
    ['done', counted.done, own.done.size],
    ['out', counted.out, own.out],
    ['dropped', sum(counted.dropped), own.dropped.size],
    ['failed', sum(counted.failed), own.failed.size],
    ['done + dropped + failed + open', own.inputs.size, own.done.size + own.dropped.size + own.failed.size + open],
  ]
  const differences = pairs.flatMap(([what, left, right]) =>
    left === right ? [] : [`${name}: ${what}: ${left} counted, ${right} in the topics`],
  )
  if (own.strangers > 0) differences.push(`${name}: ${own.strangers} outcomes of inputs that are not there`)
  if (own.doubles > 0) differences.push(`${name}: ${own.doubles} inputs with two outcomes`)
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
