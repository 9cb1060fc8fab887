import { hash } from '../operators/hash.ts'
import { type OperatorName, operators } from '../operators/index.ts'
import type { Operator } from '../operators/operator.ts'
import { SituError } from '../schemas/errors.ts'
import { type Noun, nouns, type Records } from '../schemas/records.ts'
import { closestName } from './terminal/closest-name.ts'
import type { TaskSpec, TopicSpec } from './transports/transport.ts'

/** An operator in its place between two topics. */
export interface Stage {
  readonly name: OperatorName
  readonly operator: Operator
  readonly input: string
  readonly output: string
  /** Compacted topic of a stage with state; null for the others. */
  readonly state: string | null
}

/** Topics whose newest message by key is what counts. */
const compactedNouns: readonly Noun[] = ['failed', 'prompt', 'task']
/** Nouns that are no topic by themselves: each stage with state has a topic of signatures. */
const statefulNouns: readonly Noun[] = ['signature']

/** Every stage, in the order of the list of operators. */
export const stages: readonly Stage[] = Object.entries(operators).map(([name, operator]) => ({
  name: name as OperatorName,
  operator: operator as unknown as Operator,
  input: operator.from,
  output: operator.to,
  state: operator.createIndex ? `${name}-state` : null,
}))

/** Topics that hold records, in the order of the chain; then the common ones. */
export const topicNouns: readonly Noun[] = [
  ...new Set<Noun>([
    ...stages.flatMap(({ operator }) => [operator.from, operator.to]),
    ...nouns.filter(noun => !statefulNouns.includes(noun)),
  ]),
]

/** @throws {SituError} USAGE, with the nearest name. */
export function selectStages(names: readonly string[]): readonly Stage[] {
  for (const name of names) {
    if (!stages.some(stage => stage.name === name)) {
      const known = stages.map(stage => stage.name)
      throw new SituError('USAGE', `unknown operator ${name}${closestName(name, known)}`)
    }
  }
  return names.length === 0 ? stages : stages.filter(stage => names.includes(stage.name))
}

/** @throws {SituError} TOPIC_UNKNOWN, with the nearest name. */
export function nounOfTopic(topic: string): Noun {
  const stateful = stages.find(stage => stage.state === topic)
  if (stateful) return 'signature'
  const noun = topicNouns.find(name => name === topic)
  if (!noun) throw new SituError('TOPIC_UNKNOWN', `unknown topic ${topic}${closestName(topic, allTopics())}`)
  return noun
}

function allTopics(): string[] {
  return [...topicNouns, ...stages.flatMap(stage => stage.state ?? [])]
}

/** The topics of the whole chain. */
export function topicSpecs(partitions: number): TopicSpec[] {
  const compacted = (name: string) =>
    (compactedNouns as readonly string[]).includes(name) || stages.some(stage => stage.state === name)
  return allTopics().map(name => ({ name, partitions, compacted: compacted(name) }))
}

/** The tasks of a stage: one for each partition of its input, which also reads that partition of `retry`. */
export function tasksOf(stage: Stage, partitions: number): TaskSpec[] {
  return Array.from({ length: partitions }, (_, partition) => ({
    id: `main-${stage.name}-${partition}`,
    stage: stage.name,
    partition,
    topics: [stage.input, 'retry'],
  }))
}

/**
 * The partition of a record: by content where a stage that reads the topic wants equal records to meet, by id
 * elsewhere.
 */
export function partitionOf<N extends Noun>(noun: N, record: Records[N], partitions: number): number {
  if (partitions === 1) return 0
  const reader = stages.find(stage => stage.operator.from === noun && stage.operator.route)
  const number = reader?.operator.route?.(record) ?? Number.parseInt(hash(record.id).slice(0, 8), 16)
  return number % partitions
}
