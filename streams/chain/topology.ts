import { hash } from '../../operators/hash.ts'
import { type OperatorName, operators } from '../../operators/index.ts'
import type { Operator } from '../../operators/operator.ts'
import { SituError } from '../../schemas/errors.ts'
import { type Noun, nouns, type Provenance, type Records } from '../../schemas/records.ts'
import { isOpen } from '../identity.ts'
import { closestName } from '../terminal/closest-name.ts'
import type { TaskSpec, TopicSpec } from '../transports/transport.ts'

/** An operator in its place between two topics. */
export interface Stage {
  readonly name: OperatorName
  readonly operator: Operator
  /** What its topics and tasks are called by: `main`, or the variant under which it was replayed first. */
  readonly variant: string
  readonly input: string
  readonly output: string
  /** Compacted topic of a stage with state; null for the others. */
  readonly state: string | null
  /**
   * Topic over which inputs reach the task that their content belongs to, where others than Situ write the input to
   * any partition; null where nobody does. With one partition there is none.
   */
  readonly routed: string | null
  /** First offset that it works, by partition; left out for all. */
  readonly from?: readonly number[]
  /** Offset behind the last that it works, by partition; left out for no end. */
  readonly until?: readonly number[]
}

/** Topics whose newest message by key is what counts. */
const compactedNouns: readonly Noun[] = ['failed', 'prompt', 'snapshot', 'task', 'variant']
/** Nouns that are no topic by themselves, but what is in those of a stage's own: its state and its routed inputs. */
const innerNouns: readonly Noun[] = ['signature', 'routed']

/** What the first stages' topics and tasks are called by, and the name of the main line. */
export const mainVariant = 'main'

/**
 * The main line with more of the optional stages, each in its place. Stages behind them keep all but their input.
 *
 * @param line - The stages that there are.
 */
export function layOut(line: readonly Stage[], added: readonly OperatorName[]): Stage[] {
  const outputs = new Outputs()
  const replaced = replacedBy(
    line.map(({ name }) => name),
    added,
  )
  return stages.flatMap(({ name, operator }) => {
    const own = line.find(stage => stage.name === name)
    if ((!own && !added.includes(name)) || replaced.has(name)) return []
    const input = outputs.inputOf(operator)
    const stage = own?.input === input ? own : stageOf(name, own?.variant ?? mainVariant, input)
    outputs.add(stage)
    return [stage]
  })
}

/** The operators for those who work with any of them: each takes and makes the records that it declares. */
export const anyOperator = operators as unknown as Readonly<Record<OperatorName, Operator>>

/**
 * The operators that have no place in a chain: others stand there instead.
 *
 * @param added - Those that come in now; they go before those of the line.
 */
export function replacedBy(line: readonly string[], added: readonly string[] = []): ReadonlySet<string> {
  const staying = line.filter(name => !added.some(other => excludes(other, name)))
  const all = stages.map(({ name }) => name as string)
  return new Set(all.filter(name => [...staying, ...added].some(other => other !== name && excludes(other, name))))
}

/** Whether two operators stand in one place of the chain. */
export function excludes(one: string, other: string): boolean {
  const [left, right] = [insteadOf(one), insteadOf(other)]
  return one !== other && (left.includes(other) || right.includes(one) || left.some(name => right.includes(name)))
}

function insteadOf(name: string): readonly string[] {
  return stages.find(stage => stage.name === name)?.operator.insteadOf ?? []
}

/** A stage with topics and tasks of its own: those of a variant have its name behind a dot. */
export function stageOf(name: OperatorName, variant: string, input: string): Stage {
  const operator = anyOperator[name]
  const own = (topic: string) => (variant === mainVariant ? topic : `${topic}.${variant}`)
  const state = operator.createIndex ? own(`${name}-state`) : null
  const routed = operator.route && isOpen(input) ? own(`${name}-in`) : null
  return { name, operator, variant, input, output: own(operator.to), state, routed }
}

/**
 * Which topic each noun is read from, as a chain of stages is laid in order: what an inserted stage writes stands in for
 * what it reads.
 */
export class Outputs {
  readonly #topics = new Map<string, string>()

  /** The topic that an operator in this place reads. */
  inputOf({ from }: Pick<Operator, 'from'>): string {
    return this.#topics.get(from) ?? from
  }

  add({ operator, input, output }: Stage): void {
    this.#topics.set(operator.to, output)
    if (operator.optional !== 'inserted') return
    // Also for what stood in for others already.
    for (const [noun, topic] of this.#topics) if (topic === input) this.#topics.set(noun, output)
    this.#topics.set(operator.from, output)
  }
}

/** How a record was made, as the operator that wrote it tells; null where no model was asked. */
export function ownProvenance(
  operator: Pick<Operator, 'provenanceField'> | undefined,
  record: object,
): Provenance | null {
  const field = operator?.provenanceField ?? 'provenance'
  return (record as Record<string, Provenance | null | undefined>)[field] ?? null
}

/** Every stage, in the order of the list of operators, each in its place as if none before it were optional. */
export const stages: readonly Stage[] = Object.entries(anyOperator).map(([name, { from }]) =>
  stageOf(name as OperatorName, mainVariant, from),
)

/** Nouns that are in a log only where an optional operator was asked for. */
const optionalNouns: readonly Noun[] = stages.flatMap(({ operator: { optional, to } }) =>
  optional && !stages.some(({ operator }) => !operator.optional && operator.to === to) ? [to] : [],
)

/** Topics that hold records, in the order of the chain; then the common ones. */
export const topicNouns: readonly Noun[] = [
  ...new Set<Noun>([
    ...stages.flatMap(({ operator }) => [operator.from, operator.to]),
    ...nouns.filter(noun => !innerNouns.includes(noun)),
  ]),
]

/** Those that every log has. */
export const commonNouns: readonly Noun[] = topicNouns.filter(noun => !optionalNouns.includes(noun))

/** @throws {SituError} USAGE for a name that is no operator's, with the nearest one. */
export function checkOperators(names: readonly string[]): void {
  const known = stages.map(stage => stage.name as string)
  const wrong = names.find(name => !known.includes(name))
  if (wrong !== undefined) throw new SituError('USAGE', `unknown operator ${wrong}${closestName(wrong, known)}`)
}

/**
 * What the records of a topic are; a variant's topic is called `<noun>.<variant>`.
 *
 * @throws {SituError} TOPIC_UNKNOWN, with the nearest name.
 */
export function nounOfTopic(topic: string): Noun {
  const [first = ''] = topic.split('.')
  const stateful = stages.find(stage => stage.state === first)
  if (stateful) return 'signature'
  if (stages.some(stage => stage.routed === first)) return 'routed'
  const noun = topicNouns.find(name => name === first)
  if (!noun) throw new SituError('TOPIC_UNKNOWN', `unknown topic ${topic}${closestName(topic, allTopics())}`)
  return noun
}

function allTopics(): string[] {
  return [...topicNouns, ...stages.flatMap(stage => stage.state ?? [])]
}

/** The topics that every log has; those of optional stages are made when such a stage is asked for. */
export function topicSpecs(partitions: number): TopicSpec[] {
  const always = stages.filter(({ operator }) => !operator.optional)
  const states = always.flatMap(stage => stage.state ?? [])
  const all = [...commonNouns, ...states, ...always.flatMap(stage => routedTopic(stage, partitions))]
  const compacted = [...(compactedNouns as readonly string[]), ...states]
  return all.map(name => ({ name, partitions, compacted: compacted.includes(name) }))
}

/** The topic of the stage's routed inputs, where it needs one: in one partition all inputs meet anyway. */
export function routedTopic({ routed }: Stage, partitions: number): string[] {
  return routed && partitions > 1 ? [routed] : []
}

/** The topics that a stage writes and nobody else does: its output, its routed inputs and its state. */
export function ownTopicSpecs(stage: Stage, partitions: number): TopicSpec[] {
  const logs = [stage.output, ...routedTopic(stage, partitions)]
  const own = logs.map(name => ({ name, partitions, compacted: false }))
  return stage.state === null ? own : [...own, { name: stage.state, partitions, compacted: true }]
}

/** The tasks of a stage: one for each partition of its input, which also reads that partition of `retry`. */
export function tasksOf(stage: Stage, partitions: number): TaskSpec[] {
  return Array.from({ length: partitions }, (_, partition) => ({
    id: `${stage.variant}-${stage.name}-${partition}`,
    stage: stage.name,
    partition,
    topics: [stage.input, ...routedTopic(stage, partitions), 'retry'],
  }))
}

/**
 * The partition of a record: by content where a stage that reads the topic wants equal records to meet, by id
 * elsewhere.
 */
export function partitionOf<N extends Noun>(noun: N, record: Records[N], partitions: number): number {
  if (partitions === 1) return 0
  const number = routes.get(noun)?.(record) ?? Number.parseInt(hash(record.id).slice(0, 8), 16)
  return number % partitions
}

/** How the records of a noun are shared out, where one of its readers wants equal ones to meet. */
const routes: ReadonlyMap<Noun, Operator['route']> = new Map(topicNouns.map(noun => [noun, routeOf(noun)]))

/** By a reader of the noun, or of one that it stands in for; readers before its writer have no part in that. */
function routeOf(noun: Noun, behind = -1): Operator['route'] {
  const reader = stages.slice(behind + 1).find(({ operator }) => operator.from === noun && operator.route)
  if (reader) return reader.operator.route
  const writer = stages.findIndex(({ operator }) => operator.optional === 'inserted' && operator.to === noun)
  const from = stages[writer]?.operator.from
  return from && routeOf(from, Math.max(behind, writer))
}
