import { SituError } from '../../schemas/errors.ts'
import type { Variant } from '../../schemas/records.ts'
import type { Config } from '../config/config.ts'
import { describeChange, readConfiguration, writeTexts } from '../configuration.ts'
import { instantOf } from '../instant.ts'
import type { Pipeline } from '../pipeline.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { OutgoingMessage } from '../transports/transport.ts'
import { partitionOf, type Stage, stageOf } from './topology.ts'
import { createOwnTopics, downstreamOf, type Line, readVariants, toRecord } from './variants.ts'

/** Which inputs, as given: offsets of each partition, or times. */
export interface ReplayRange {
  from: string | null
  until: string | null
  /** Inputs at most. */
  limit: number | null
}

export interface ReplayRequest {
  variant: string
  range: ReplayRange
  /** The operator to replay and those after it, in the order of the chain, on the stages of the main line. */
  bindings: readonly StageBinding[]
}

/** Not `main-…`: those are the names of earlier main lines. */
const variantName = /^(?!main(-|$))[A-Za-z0-9][A-Za-z0-9_-]{0,59}$/

/** @throws {SituError} USAGE */
export function checkVariantName(name: string): void {
  if (variantName.test(name)) return
  const rule = 'up to 60 letters, digits, _ and -, not main and not beginning with main-'
  throw new SituError('USAGE', `--variant ${JSON.stringify(name)}: expected ${rule}`)
}

/**
 * Makes a variant, or goes on with one that was made by the same request.
 *
 * @returns The bindings on the stages of the variant.
 * @throws {SituError} USAGE; CONFIGURATION_CHANGED where the request differs from the one that made it, with both.
 */
export async function prepareReplay(
  pipeline: Pipeline,
  config: Config,
  request: ReplayRequest,
): Promise<StageBinding[]> {
  checkVariantName(request.variant)
  const variants = await readVariants(pipeline)
  const there = variants.others.find(({ name }) => name === request.variant)
  const taken = variants.placed.find(({ stage, line }) => stage.variant === request.variant && line !== there)
  if (taken) {
    const whose = taken.line === variants.main ? 'the main line' : `variant ${taken.line.name}`
    throw new SituError('USAGE', `${request.variant} was promoted: its topics are those of ${whose}; take another name`)
  }
  if (there) await checkSame(pipeline, there, request)
  const first = there?.stages[0] ?? (await firstStage(pipeline, request))
  const bindings = placeAll(request, there?.stages ?? [first], first.input)
  const added = bindings.filter(({ stage }) => !there?.stages.some(({ name }) => name === stage.name))
  if (added.length > 0) await writeVariant(pipeline, config, request, there ?? null, added)
  return bindings
}

/** The bindings on the stages that the variant has, or will have; makes nothing. */
export async function plannedReplay(pipeline: Pipeline, request: ReplayRequest): Promise<StageBinding[]> {
  const { others } = await readVariants(pipeline)
  const there = others.find(({ name }) => name === request.variant)
  const first = there?.stages[0] ?? (await firstStage(pipeline, request))
  return placeAll(request, there?.stages ?? [first], first.input)
}

/** Each on its stage of the variant; those that it does not have yet read what the one before writes. */
function placeAll({ bindings, variant }: ReplayRequest, made: readonly Stage[], first: string): StageBinding[] {
  let input = first
  return bindings.map(binding => {
    const { name } = binding.stage
    const stage = made.find(own => own.name === name) ?? stageOf(name, variant, input)
    input = stage.output
    return binding.at(stage)
  })
}

/** The stages from one on, to another one, in the order of the chain. @throws {SituError} USAGE */
export function stagesThrough(first: Stage, through: string | undefined, line: readonly Stage[]): Stage[] {
  const later = downstreamOf(first, line)
  const last = later.findIndex(({ name }) => name === through)
  if (through !== undefined && through !== first.name && last < 0) {
    const known = later.map(({ name }) => name).join(', ') || 'nothing'
    throw new SituError('USAGE', `--through ${through}: after ${first.name} come ${known}`)
  }
  return [first, ...later.slice(0, last + 1)]
}

async function firstStage(pipeline: Pipeline, { bindings, variant, range }: ReplayRequest): Promise<Stage> {
  const own = bindings[0]?.stage
  if (!own) throw new SituError('USAGE', 'no operator is to be replayed')
  return { ...stageOf(own.name, variant, own.input), ...(await resolveRange(pipeline, own.input, range)) }
}

async function checkSame(pipeline: Pipeline, there: Line, { variant, range, bindings }: ReplayRequest): Promise<void> {
  const { record, stages } = there
  if (record?.state === 'removing') {
    throw new SituError('USAGE', `${variant} is being removed: situ variants remove ${variant} ends that`)
  }
  const [first] = bindings
  const differences: string[] = []
  if (stages[0]?.name !== first?.stage.name) {
    differences.push(`operator was ${stages[0]?.name}, is ${first?.stage.name}`)
  }
  differences.push(...describeChange('range', JSON.parse(record?.range ?? '{}'), { ...range }))
  for (const { stage, configuration, configurationText } of bindings) {
    const before = record?.stages.find(({ operator }) => operator === stage.name)?.configuration
    if (!before || before === configuration) continue
    differences.push(
      ...describeChange(stage.name, await readConfiguration(pipeline, before), JSON.parse(configurationText)),
    )
  }
  if (differences.length === 0) return
  const message = `variant ${variant} was made by another replay; take another name, or give the same again`
  throw new SituError('CONFIGURATION_CHANGED', `${message}:\n${differences.join('\n')}`)
}

/** The topics first: the record in `variant` is what makes them a variant. */
async function writeVariant(
  pipeline: Pipeline,
  config: Config,
  { variant, range }: ReplayRequest,
  there: Line | null,
  added: readonly StageBinding[],
): Promise<void> {
  await createOwnTopics(
    pipeline,
    config,
    added.map(({ stage }) => stage),
  )
  await writeTexts(pipeline, added)
  const droppedFrom = await endsOf(pipeline, 'dropped')
  const record: Variant = {
    id: variant,
    state: 'there',
    stages: [
      ...(there?.record?.stages ?? []),
      ...added.map(({ stage, configuration }) => toRecord(stage, droppedFrom, configuration)),
    ],
    range: there?.record?.range ?? JSON.stringify(range),
    origin: null,
    time: there?.record?.time ?? pipeline.clock.now(),
  }
  await pipeline.transport.produce([variantMessage(pipeline, record)])
}

export function variantMessage({ serde, partitions }: Pipeline, record: Variant): OutgoingMessage {
  const partition = partitionOf('variant', record, partitions)
  return { topic: 'variant', partition, key: record.id, value: serde.encode('variant', record).value }
}

/** The end of each partition now. */
export function endsOf({ transport, partitions }: Pipeline, topic: string): Promise<number[]> {
  const all = Array.from({ length: partitions }, (_, partition) => transport.bounds(topic, partition))
  return Promise.all(all.map(async bounds => (await bounds).end))
}

/** The offsets that a range means now: --limit and --until are counted once, when the variant is made. */
async function resolveRange(
  pipeline: Pipeline,
  topic: string,
  { from, until, limit }: ReplayRange,
): Promise<Pick<Stage, 'from' | 'until'>> {
  const numbers = Array.from({ length: pipeline.partitions }, (_, partition) => partition)
  const place = (text: string, flag: string) =>
    Promise.all(numbers.map(partition => offsetOf(pipeline, topic, partition, text, flag)))
  const starts = from === null ? numbers.map(() => 0) : await place(from, '--from')
  const ends = until === null ? null : await place(until, '--until')
  const limited = limit === null ? ends : await limitedEnds(pipeline, topic, starts, ends, limit)
  return { ...(from !== null && { from: starts }), ...(limited && { until: limited }) }
}

async function offsetOf(
  { transport }: Pipeline,
  topic: string,
  partition: number,
  text: string,
  flag: string,
): Promise<number> {
  const { start, end } = await transport.bounds(topic, partition)
  if (text === 'earliest') return start
  if (text === 'latest') return end
  if (/^\d{1,15}$/.test(text)) return flag === '--from' ? Math.min(Number(text), end) : Number(text)
  const time = instantOf(text)
  if (time === null) {
    throw new SituError('USAGE', `${flag} ${text}: expected earliest, latest, an offset or a time`)
  }
  return transport.offsetAt(topic, partition, time)
}

/** Shares the limit out evenly among the partitions, as far as they have inputs. */
async function limitedEnds(
  pipeline: Pipeline,
  topic: string,
  starts: readonly number[],
  ends: readonly number[] | null,
  limit: number,
): Promise<number[]> {
  const offsets: number[][] = []
  for (const [partition, start] of starts.entries()) {
    offsets.push(await firstOffsets(pipeline, topic, partition, start, ends?.[partition] ?? null, limit))
  }
  const taken = starts.map(() => 0)
  for (let left = limit; left > 0; ) {
    const before = left
    for (const [partition, own] of offsets.entries()) {
      if (left === 0 || (taken[partition] ?? 0) >= own.length) continue
      taken[partition] = (taken[partition] ?? 0) + 1
      left--
    }
    if (left === before) break
  }
  return starts.map((start, partition) => {
    const last = offsets[partition]?.[(taken[partition] ?? 0) - 1]
    return last === undefined ? start : last + 1
  })
}

async function firstOffsets(
  { transport }: Pipeline,
  topic: string,
  partition: number,
  from: number,
  until: number | null,
  limit: number,
): Promise<number[]> {
  const found: number[] = []
  for await (const { messages } of transport.read(topic, partition, from)) {
    for (const { offset } of messages) {
      if (offset >= (until ?? Number.POSITIVE_INFINITY) || found.length >= limit) return found
      found.push(offset)
    }
  }
  return found
}
