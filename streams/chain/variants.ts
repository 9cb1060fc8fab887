import type { OperatorName } from '../../operators/index.ts'
import { SituError } from '../../schemas/errors.ts'
import { schemas, type Variant, type VariantStage } from '../../schemas/records.ts'
import type { Config } from '../config/config.ts'
import { type Pipeline, subjectOf } from '../pipeline.ts'
import { inRounds } from '../rounds.ts'
import { readStanding } from '../standing-records.ts'
import { closestName } from '../terminal/closest-name.ts'
import {
  commonNouns,
  mainVariant,
  nounOfTopic,
  Outputs,
  ownTopicSpecs,
  replacedBy,
  type Stage,
  stageOf,
  stages,
  topicNouns,
} from './topology.ts'

/** Stages under one name: the main line, a replay, or an earlier main line. */
export interface Line {
  name: string
  stages: readonly Stage[]
  /** Null for a main line of which no variant was ever promoted. */
  record: Variant | null
}

/** A stage under the key that it has in `situ topics`: its name, with that of its variant behind a dot. */
export interface PlacedStage {
  key: string
  line: Line
  stage: Stage
}

/** A topic to be read, and which of its records are meant. */
export interface TopicView {
  topic: string
  keeps: (record: object) => boolean
}

/** Topics that all variants share; their records tell the variant. */
const sharedTopics: readonly string[] = ['dropped', 'failed', 'retry', 'task']

/**
 * What the topic `variant` says: which stages the main line has, and which others there are.
 *
 * A promotion changes names only. Topics and tasks stay where they are, so lineage stays whole.
 */
export class Variants {
  readonly main: Line
  readonly others: readonly Line[]

  constructor(records: readonly Variant[]) {
    const own = records.find(({ id }) => id === mainVariant)
    this.main = { name: mainVariant, stages: mainStages(own?.stages ?? []), record: own ?? null }
    this.others = records
      .filter(({ id }) => id !== mainVariant)
      .sort((left, right) => left.time - right.time || (left.id < right.id ? -1 : 1))
      .map(record => ({ name: record.id, stages: record.stages.flatMap(stage => fromRecord(stage) ?? []), record }))
  }

  /** Every stage, those of the main line first. */
  get placed(): PlacedStage[] {
    return [this.main, ...this.others].flatMap(line =>
      line.stages.map(stage => ({ key: keyOf(stage.name, line), line, stage })),
    )
  }

  /** Every topic that has records of the chain or about it, by its key in `situ topics`. */
  get topics(): { key: string; topic: string }[] {
    return [
      ...topicNouns
        .filter(noun => commonNouns.includes(noun) || this.main.stages.some(({ operator }) => operator.to === noun))
        .map(noun => ({ key: noun as string, topic: this.topicOf(noun) })),
      ...this.others.flatMap(line =>
        line.stages.map(stage => ({ key: keyOf(stage.operator.to, line), topic: stage.output })),
      ),
    ]
  }

  /** The main line's topic of a noun. */
  topicOf(noun: string): string {
    return this.main.stages.find(stage => stage.operator.to === noun)?.output ?? noun
  }

  /** @throws {SituError} USAGE, with the nearest name. */
  find(name: string): Line {
    const line = [this.main, ...this.others].find(line => line.name === name)
    if (line) return line
    const known = this.others.map(({ name }) => name)
    throw new SituError('USAGE', `no variant ${name}${closestName(name, known)}; situ variants lists them`)
  }

  /**
   * What a user means by a topic: a noun of the main line or of the named variant, or a key of `situ topics`.
   *
   * @throws {SituError} USAGE, TOPIC_UNKNOWN
   */
  view(name: string, variant?: string): TopicView {
    const line = this.find(variant ?? mainVariant)
    const state = line.stages.find(stage => name === stateName(stage))?.state
    const topic = state ?? this.topics.find(({ key }) => key === keyOf(name, line))?.topic
    if (variant === undefined) return { topic: topic ?? name, keeps: () => true }
    if (topic !== undefined && !sharedTopics.includes(name)) return { topic, keeps: () => true }
    if (sharedTopics.includes(name)) return { topic: name, keeps: record => isOf(record, line) }
    const known = line.stages.map(stage => stage.operator.to).join(', ')
    throw new SituError('TOPIC_UNKNOWN', `variant ${variant} has no topic ${name}; it has ${known}`)
  }
}

/** What the log says of variants now; one without the topic `variant` has the main line alone. */
export async function readVariants(pipeline: Pick<Pipeline, 'transport' | 'serde'>): Promise<Variants> {
  return new Variants(await readStanding(pipeline, 'variant'))
}

/**
 * For a run, at each take-over: whoever promotes or removes a variant holds its tasks, and takes back what it wrote where
 * it has lost one by then. So what is true behind a take-over stays true while the task is ours.
 *
 * @returns Throws CONFIGURATION_CHANGED where the stage is no longer the line's.
 */
export function stageConfirmer(pipeline: Pipeline, line: string): (stage: Stage) => Promise<void> {
  const read = inRounds(() => readVariants(pipeline))
  return async ({ name, variant, input }) => {
    const { main, others } = await read()
    const own = [main, ...others].find(other => other.name === line)
    const isRemoved = own?.record?.state === 'removing'
    const stage = own?.stages.find(stage => stage.name === name)
    if (!isRemoved && stage?.variant === variant && stage.input === input) return
    const what = `${line === mainVariant ? 'the main line' : `variant ${line}`} has another ${name} now`
    throw new SituError('CONFIGURATION_CHANGED', `${what}: stages were changed since this run began`)
  }
}

/** Makes the topics of stages, and registers their schemas. */
export async function createOwnTopics(pipeline: Pipeline, config: Config, stages: readonly Stage[]): Promise<void> {
  const { transport, registry, partitions } = pipeline
  const specs = stages.flatMap(stage => ownTopicSpecs(stage, partitions))
  await transport.createTopics(specs)
  for (const { name } of specs) {
    await registry.register(subjectOf(name, config), JSON.stringify(schemas[nounOfTopic(name)]))
  }
}

/** The name of a stage or noun in a line, as `situ topics` shows it. */
function keyOf(name: string, line: Line): string {
  return line.name === mainVariant ? name : `${name}.${line.name}`
}

/** Stages from a stage on: all that what it writes flows through. */
export function downstreamOf(stage: Stage, line: readonly Stage[]): Stage[] {
  const written = new Set<string>([stage.output])
  const found: Stage[] = []
  for (const other of line) {
    if (!written.has(other.input)) continue
    written.add(other.output)
    found.push(other)
  }
  return found
}

export function toRecord(stage: Stage, droppedFrom: readonly number[], configuration: string | null): VariantStage {
  const { name, variant, input, from = [], until = [] } = stage
  return {
    operator: name,
    variant,
    input,
    from: [...from],
    until: [...until],
    droppedFrom: [...droppedFrom],
    configuration,
  }
}

/** The stage of a record; null for an operator that this version does not have. */
function fromRecord({ operator, variant, input, from, until }: VariantStage): Stage | null {
  if (!stages.some(({ name }) => name === operator)) return null
  return {
    ...stageOf(operator as OperatorName, variant, input),
    ...(from.length > 0 && { from }),
    ...(until.length > 0 && { until }),
  }
}

/** A stage that the record does not name is a first one, and reads what the line writes; optional ones it does name. */
function mainStages(records: readonly VariantStage[]): Stage[] {
  const outputs = new Outputs()
  const replaced = replacedBy([], recordedOptional(records))
  return stages.flatMap(({ name, operator }) => {
    const own = records.find(record => record.operator === name)
    if ((operator.optional && !own) || replaced.has(name)) return []
    const stage = (own && fromRecord(own)) ?? stageOf(name, mainVariant, outputs.inputOf(operator))
    outputs.add(stage)
    return [stage]
  })
}

/** Operators that are there though they need not be: they decide who stands in a place that several may have. */
function recordedOptional(records: readonly VariantStage[]): string[] {
  const optional = stages.filter(({ operator }) => operator.optional).map(({ name }) => name as string)
  return records.flatMap(({ operator }) => (optional.includes(operator) ? [operator] : []))
}

/** What the state of a stage is called where its variant is named apart. */
function stateName({ name, state }: Stage): string | null {
  return state === null ? null : stageOf(name, mainVariant, '').state
}

function isOf(record: object, line: Line): boolean {
  const { operator, stage = operator, variant } = record as { operator?: string; stage?: string; variant?: string }
  return line.stages.some(own => own.name === stage && own.variant === variant)
}
