import { SituError } from '../../schemas/errors.ts'
import type { Task, VariantStage } from '../../schemas/records.ts'
import type { Config } from '../config/config.ts'
import { isIngest } from '../ingest/ingest-messages.ts'
import { isIngestNoun } from '../ingest/ingest-records.ts'
import type { Pipeline } from '../pipeline.ts'
import { standingRecords } from '../standing-records.ts'
import { emptyCounters, sum } from '../task/task-record.ts'
import type { OutgoingMessage } from '../transports/transport.ts'
import { holding, writeHeld } from './held-tasks.ts'
import { endsOf, variantMessage } from './replay.ts'
import { layOut, mainVariant, Outputs, ownTopicSpecs, partitionOf, type Stage, stageOf } from './topology.ts'
import { createOwnTopics, downstreamOf, type Line, readVariants, toRecord, type Variants } from './variants.ts'

/** Most messages in one commit. */
const commitMessages = 500

export interface Promotion {
  name: string
  /** Name of what was the main line until now. */
  earlier: string
  /** Stages of the main line that the variant has brought. */
  stages: readonly Stage[]
  /** Those of them that it had not been replayed through: they begin at nothing. */
  fresh: readonly Stage[]
  /** Inputs, by offsets, that lie before the range of the replay: they are not in the main line any more. */
  leftOut: number
}

/**
 * Makes a variant the main line from its first stage on; what was the main line there becomes a variant.
 *
 * One atomic write of the topic `variant`: nothing is copied, moved or renamed. Stages behind those of the variant
 * begin at nothing, under its name. The range of the replay has no end any more; its beginning stays.
 *
 * @throws {SituError} USAGE; DATA_IN_USE while a worker has one of the tasks.
 */
export async function promote(pipeline: Pipeline, config: Config, name: string): Promise<Promotion> {
  const before = await readVariants(pipeline)
  const { main } = before
  const line = before.find(name)
  const { affected, replaced } = await checkPromotable(pipeline, line, main)
  return holding(pipeline, [...affected, ...replaced, ...line.stages], async checkHeld => {
    const variants = await readVariants(pipeline)
    if (variants.main.record?.time !== main.record?.time || variants.find(name).record?.time !== line.record?.time) {
      throw new SituError('DATA_IN_USE', 'the main line or the variant was changed meanwhile: look at situ variants')
    }
    const { stages, fresh } = promotedStages(line, affected)
    await createOwnTopics(pipeline, config, fresh)
    const time = pipeline.clock.now()
    const earlier = earlierMainName(time, variants)
    const droppedFrom = await endsOf(pipeline, 'dropped')
    const known = [...recordsOf(main), ...recordsOf(line)]
    const record = (stage: Stage) => {
      const own = known.find(({ operator, variant }) => operator === stage.name && variant === stage.variant)
      const isFirst = own === undefined && stage.variant === mainVariant
      return toRecord(stage, own?.droppedFrom ?? (isFirst ? [] : droppedFrom), own?.configuration ?? null)
    }
    const isGone = (name: string) => [...affected, ...replaced].some(stage => stage.name === name)
    const kept = recordsOf(main).filter(({ operator }) => !isGone(operator))
    const taken = main.stages.filter(({ name }) => isGone(name))
    const ended = await Promise.all(
      taken.map(async stage => ({ ...stage, until: await endsOf(pipeline, stage.input) })),
    )
    const common = { state: 'there' as const, range: '{}', time }
    await writeHeld(
      pipeline,
      new Map([
        [earlier, { ...common, id: earlier, stages: ended.map(record), origin: mainVariant }],
        [mainVariant, { ...common, id: mainVariant, stages: [...kept, ...stages.map(record)], origin: name }],
        [name, null],
      ]),
      variants,
      checkHeld,
    )
    return { name, earlier, stages, fresh, leftOut: await countLeftOut(pipeline, line) }
  })
}

export interface Removal {
  name: string
  topics: string[]
  /** Dead letters that are gone with it. */
  failed: number
}

/**
 * Deletes a variant with its topics, tasks and dead letters. What it dropped stays in `dropped`, and is still counted.
 *
 * A removal that was interrupted goes on when it is asked for again.
 *
 * @throws {SituError} USAGE for the main line; DATA_IN_USE while a worker has one of its tasks, or a variant reads it.
 */
export async function removeVariant(pipeline: Pipeline, name: string): Promise<Removal> {
  const variants = await readVariants(pipeline)
  const line = variants.find(name)
  const { record } = line
  if (line === variants.main || !record) throw new SituError('USAGE', 'the main line is no variant that can be removed')
  const topics = line.stages.flatMap(stage => ownTopicSpecs(stage, pipeline.partitions).map(({ name }) => name))
  for (const { line: other, stage } of variants.placed) {
    if (other === line || !topics.includes(stage.input)) continue
    throw new SituError('DATA_IN_USE', `${stage.name} of variant ${other.name} reads ${stage.input}: remove that first`)
  }
  return holding(pipeline, line.stages, async checkHeld => {
    const { transport } = pipeline
    await writeHeld(pipeline, new Map([[name, { ...record, state: 'removing' }]]), variants, checkHeld)
    await transport.deleteTopics(topics)
    const letters = await letterTombstones(pipeline, line)
    for (let index = 0; index < letters.length; index += commitMessages) {
      await transport.produce(letters.slice(index, index + commitMessages))
    }
    const gone = { ...variantMessage(pipeline, record), value: null }
    await transport.produce([...(await closedTasks(pipeline, line)), gone])
    return { name, topics, failed: letters.length }
  })
}

/**
 * The stages of the main line whose place the variant takes, an optional one that it brings along among them, and those
 * that have no place beside it.
 */
async function checkPromotable(
  pipeline: Pipeline,
  line: Line,
  main: Line,
): Promise<{ affected: Stage[]; replaced: Stage[] }> {
  const [first] = line.stages
  if (line === main || !first) throw new SituError('USAGE', `${line.name} is the main line already`)
  if (line.record?.state === 'removing') {
    throw new SituError('USAGE', `${line.name} is being removed: situ variants remove ${line.name} ends that`)
  }
  const stages = layOut(
    main.stages,
    line.stages.map(({ name }) => name),
  )
  const own = stages.find(({ name }) => name === first.name)
  if (!own || own.input !== first.input) {
    const rule = `it was made from ${first.input}, but the main line has ${own?.input} now`
    throw new SituError('USAGE', `${line.name} can't be the main line: ${rule}; replay it under another name`)
  }
  if (isIngestNoun(own.operator.to)) await checkIngested(pipeline, own)
  const replaced = main.stages.filter(({ name }) => !stages.some(stage => stage.name === name))
  return { affected: [own, ...downstreamOf(own, stages)], replaced }
}

/** Records that came in are in the main line's topic only: they would be lost to the new one. */
async function checkIngested({ transport, partitions }: Pipeline, { output, name, operator }: Stage): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(output, partition, 0)) {
      if (!messages.some(({ parent }) => parent === null || isIngest(parent))) continue
      const rule = `${output} holds records that no ${name} made (situ ingest --as ${operator.to})`
      throw new SituError('USAGE', `a variant of ${name} can't be the main line: ${rule}`)
    }
  }
}

async function countLeftOut({ transport }: Pipeline, { stages: [first] }: Line): Promise<number> {
  let count = 0
  for (const [partition, from] of first?.from?.entries() ?? []) {
    count += Math.max(0, from - (await transport.bounds(first?.input ?? '', partition)).start)
  }
  return count
}

function promotedStages(line: Line, affected: readonly Stage[]): Pick<Promotion, 'stages' | 'fresh'> {
  const fresh: Stage[] = []
  const outputs = new Outputs()
  const stages = affected.map(({ name, operator }) => {
    const own = line.stages.find(stage => stage.name === name)
    // The first stages' own topics are not empty: a line that once was the main one has them all.
    const stage = own ?? stageOf(name, line.stages[0]?.variant ?? line.name, outputs.inputOf(operator))
    outputs.add(stage)
    if (!own) fresh.push(stage)
    const { until: _until, ...endless } = stage
    return endless
  })
  return { stages, fresh }
}

/** Such as main-2026-01-31. */
function earlierMainName(time: number, { others }: Variants): string {
  const name = `${mainVariant}-${new Date(time).toISOString().slice(0, 10)}`
  const isTaken = (wanted: string) => others.some(line => line.name === wanted)
  if (!isTaken(name)) return name
  for (let number = 2; ; number++) if (!isTaken(`${name}-${number}`)) return `${name}-${number}`
}

function recordsOf({ record }: Line): readonly VariantStage[] {
  return record?.stages ?? []
}

async function letterTombstones(pipeline: Pipeline, line: Line): Promise<OutgoingMessage[]> {
  const tombstones: OutgoingMessage[] = []
  for await (const { record, message } of standingRecords(pipeline, 'failed')) {
    const { key, partition } = message
    const isOurs = line.stages.some(({ name, variant }) => name === record.operator && variant === record.variant)
    if (isOurs && key !== null) tombstones.push({ topic: 'failed', partition, key, value: null })
  }
  return tombstones
}

/** The tasks go; what they dropped is kept under another key, so that `dropped` still adds up. */
async function closedTasks(pipeline: Pipeline, line: Line): Promise<OutgoingMessage[]> {
  const { serde, clock, partitions } = pipeline
  const messages: OutgoingMessage[] = []
  const time = clock.now()
  for await (const { record: task, message } of standingRecords(pipeline, 'task')) {
    const { key, partition } = message
    const isOurs = line.stages.some(({ name, variant }) => name === task.stage && variant === task.variant)
    if (!isOurs || key === null) continue
    messages.push({ topic: 'task', partition, key, value: null })
    const { dropped } = task.counters
    if (sum(dropped) === 0) continue
    const counters = { ...emptyCounters(), in: sum(dropped), dropped }
    const id = `removed-${time}-${task.id}`
    const closed: Task = { ...task, id, variant: '', positions: [], counters, time, work: null }
    const { value: encoded } = serde.encode('task', closed)
    messages.push({ topic: 'task', partition: partitionOf('task', closed, partitions), key: closed.id, value: encoded })
  }
  return messages
}
