import { join } from 'node:path'
import { SituError } from '../schemas/errors.ts'
import type { SchemaRegistry } from '../schemas/registry.ts'
import { Serde } from '../schemas/serde.ts'
import { routedTopic, stages, tasksOf, topicNouns, topicSpecs } from './chain/topology.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config/config.ts'
import { kafkaOptions, registryConnection } from './config/kafka-settings.ts'
import { createLogger } from './log.ts'
import type { ConfluentOptions, ConfluentRegistry } from './registries/confluent.ts'
import { EmbeddedRegistry } from './registries/embedded.ts'
import { openEmbedded } from './transports/embedded/index.ts'
import type { RetentionOptions } from './transports/embedded/retention.ts'
import type { Examination, KafkaTransport } from './transports/kafka/index.ts'
import type { TopicInfo, Transport } from './transports/transport.ts'

/** As long as the brokers may be away. */
const registryOutageMs = 600_000

/** An opened log with its registry: what every command works on. */
export interface Pipeline {
  readonly transport: Transport
  readonly registry: SchemaRegistry
  readonly serde: Serde
  readonly clock: Clock
  /** Partitions of the topics, as they were made. */
  readonly partitions: number
  /** Deletes old records, on backends that do not do so by themselves. */
  applyRetention?(options: RetentionOptions): Promise<number>
  close(): Promise<void>
}

export type Mode = 'read' | 'change' | 'write'

/** Where the log is: a data folder, or Kafka where brokers are configured. */
export function isOnKafka({ settings }: Config): boolean {
  return settings.brokers.length > 0
}

/**
 * Opens the log that the configuration names.
 *
 * @param mode - `read` changes nothing; `change` writes to what is there; `write` makes what is missing too.
 * @throws {SituError} DATA_*, BROKER_*, REGISTRY_*, SCHEMA_INCOMPATIBLE
 */
export async function openPipeline(config: Config, mode: Mode): Promise<Pipeline> {
  const log = isOnKafka(config) ? await openKafkaLog(config) : await openEmbeddedLog(config, mode)
  const { transport, registry } = log
  try {
    const serde = new Serde(registry)
    const made = partitionsOf(await transport.topics())
    if (mode === 'read' && made === null && isOnKafka(config)) throw noTopics(config)
    // What is missing must fit what is there.
    const partitions = made ?? config.settings.partitions
    if (mode !== 'read') {
      await transport.createTopics(topicSpecs(partitions))
      await registerSchemas(serde, config, partitions)
    }
    if (config.settings.partitions !== 1 && config.settings.partitions !== partitions) {
      const given = `--partitions ${config.settings.partitions}`
      throw new SituError('CONFIGURATION_INVALID', `${given}: the topics that are there have ${partitions}`)
    }
    return { ...log, serde, clock: systemClock, partitions, close: () => transport.close() }
  } catch (error) {
    await transport.close()
    throw error
  }
}

function noTopics({ settings }: Config): SituError {
  const message = `${settings.brokers.join(', ')}: there is no topic ${settings.prefix}.*, or this user may see none`
  return new SituError('TOPIC_UNKNOWN', `${message}; situ topics --create makes them, situ ingest too`)
}

type Log = Pick<Pipeline, 'transport' | 'registry' | 'applyRetention'>

async function openEmbeddedLog({ settings }: Config, mode: Mode): Promise<Log> {
  const transport = await openEmbedded(settings.data, { create: mode === 'write', readOnly: mode === 'read' })
  const registry = new EmbeddedRegistry(transport.database)
  return { transport, registry, applyRetention: options => transport.applyRetention(options) }
}

async function openKafkaLog(config: Config): Promise<Log> {
  const registry = await openRegistry(config, { outageMs: registryOutageMs, log: createLogger(config) })
  return { transport: await openBrokers(config), registry }
}

/** The clients are loaded where they are needed only: a run on a data folder starts quicker without. */
export async function openBrokers(config: Config): Promise<KafkaTransport> {
  const options = kafkaOptions(config.settings, config.environment)
  const { openKafka } = await import('./transports/kafka/index.ts')
  return openKafka({ ...options, rollFolder: join(config.settings.data, 'workers'), log: createLogger(config) })
}

/** What `situ check` asks of the brokers. @throws {SituError} BROKER_UNREACHABLE, BROKER_AUTHENTICATION */
export async function examineBrokers(config: Config): Promise<Examination> {
  const { settings, environment } = config
  const options = { ...kafkaOptions(settings, environment), log: createLogger(config) }
  const { examineKafka } = await import('./transports/kafka/index.ts')
  const { partitions } = settings
  return examineKafka(
    options,
    topicSpecs(partitions),
    stages.flatMap(stage => tasksOf(stage, 1)),
  )
}

/** The registry of a log on Kafka. @param patience - With an outage; default: none is waited for. */
export async function openRegistry(
  { settings, environment }: Config,
  patience: Pick<ConfluentOptions, 'outageMs' | 'log'> = {},
): Promise<ConfluentRegistry> {
  const { ConfluentRegistry } = await import('./registries/confluent.ts')
  return new ConfluentRegistry({ ...registryConnection(settings, environment), ...patience })
}

/**
 * Partitions of the topics; null where there are none yet.
 *
 * @throws {SituError} CONFIGURATION_INVALID where they differ: a record's partition tells the task that works it.
 */
export function partitionsOf(topics: readonly TopicInfo[]): number | null {
  // With several, so that those are known that one partition does without.
  const specs = topicSpecs(2)
  const own = topics.filter(topic => specs.some(({ name }) => name === topic.name))
  const counts = [...new Set(own.map(({ partitions }) => partitions))]
  if (counts.length <= 1) return counts[0] ?? null
  const listed = own.map(({ name, partitions }) => `${name} ${partitions}`).join(', ')
  throw new SituError('CONFIGURATION_INVALID', `the topics must have one number of partitions, but have: ${listed}`)
}

/** The subject of a topic's values, by the name that the topic has on its backend. */
export function subjectOf(topic: string, config: Config): string {
  return isOnKafka(config) ? `${config.settings.prefix}.${topic}-value` : `${topic}-value`
}

/** Registers every schema under the subjects of its topics. */
export async function registerSchemas(serde: Serde, config: Config, partitions: number): Promise<void> {
  for (const noun of topicNouns) await serde.register(subjectOf(noun, config), noun)
  for (const { state } of stages) if (state) await serde.register(subjectOf(state, config), 'signature')
  for (const stage of stages) {
    for (const topic of routedTopic(stage, partitions)) await serde.register(subjectOf(topic, config), 'routed')
  }
}
