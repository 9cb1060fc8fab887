import kafkajs, { type Admin, type Kafka } from 'kafkajs'
import { SituError } from '../../../schemas/errors.ts'
import { checkTopicSpec } from '../outgoing.ts'
import type { TopicSpec } from '../transport.ts'
import { isMute, messageOfRefusal, typeOf } from './broker-error.ts'
import type { Brokers, CallLimits } from './brokers.ts'
import type { TopicSettings } from './options.ts'

const { ConfigResourceTypes } = kafkajs

/** Largest message of a broker that was not told otherwise. */
const usualMaxBytes = 1_048_588
/** A topic that was just made comes to every broker, on busy ones after seconds. */
const whileNew: CallLimits = { unknownMs: 30_000 }

/** What exists on the brokers. */
export interface FoundTopic {
  name: string
  partitions: number
  replication: number
  /** All settings, in Kafka's words. */
  config: ReadonlyMap<string, string>
}

/** One setting of a topic that is not as it is wanted. */
export interface TopicDifference {
  topic: string
  /** `exists`, `partitions`, `replication`, or a setting in Kafka's words. */
  setting: string
  wanted: string
  found: string
}

/** Topics with a prefix: which there are, with which settings; and making new ones. It never changes one. */
export class TopicAdmin {
  readonly #kafka: Kafka
  #admin: Admin
  readonly #brokers: Brokers
  readonly #prefix: string
  readonly #settings: TopicSettings
  readonly #known = new Map<string, FoundTopic>()
  #connected: Promise<void> | null = null

  constructor(kafka: Kafka, brokers: Brokers, prefix: string, settings: TopicSettings) {
    this.#kafka = kafka
    this.#admin = kafka.admin()
    this.#brokers = brokers
    this.#prefix = `${prefix}.`
    this.#settings = settings
  }

  /** Makes what is not there. */
  async create(specs: readonly TopicSpec[]): Promise<void> {
    for (const spec of specs) checkTopicSpec(spec)
    const there = new Set(await this.#names())
    const missing = specs.filter(({ name }) => !there.has(name))
    if (missing.length > 0) await this.#call('creating topics', () => this.#create(missing), whileNew)
    // The next question may go to a broker that has not heard of them yet.
    for (const { name } of missing) await this.#brokers.partitionCount(name, whileNew)
  }

  /** As `create`, but nothing is made. @throws {SituError} BROKER_UNAUTHORIZED, CONFIGURATION_INVALID */
  async tryCreate(specs: readonly TopicSpec[]): Promise<void> {
    await this.#call('making topics', () => this.#create(specs, true))
  }

  /** Deletes those that are there; resolves when the brokers don't list them any more. */
  async delete(names: readonly string[]): Promise<void> {
    for (;;) {
      const there = new Set(await this.#names())
      const topics = names.filter(name => there.has(name)).map(name => this.#prefix + name)
      if (topics.length === 0) break
      await this.#call('deleting topics', () => this.#admin.deleteTopics({ topics, timeout: 10_000 })).catch(error => {
        if (!(error instanceof SituError && error.code === 'TOPIC_UNKNOWN')) throw error
      })
    }
    for (const name of names) this.#known.delete(this.#prefix + name)
  }

  /** The topics with the prefix, without it. */
  async find(): Promise<FoundTopic[]> {
    const { topics } = await this.#call('listing topics', () => this.#admin.fetchTopicMetadata())
    const ours = topics.filter(({ name }) => name.startsWith(this.#prefix))
    const names = new Set(ours.map(({ name }) => name))
    for (const name of [...this.#known.keys()]) if (!names.has(name)) this.#known.delete(name)
    const unknown = ours.filter(({ name }) => !this.#known.has(name)).map(({ name }) => name)
    const config = await this.#configs(unknown)
    for (const { name, partitions } of ours) {
      this.#known.set(name, {
        name: name.slice(this.#prefix.length),
        partitions: partitions.length,
        replication: partitions[0]?.replicas.length ?? 0,
        config: this.#known.get(name)?.config ?? config.get(name) ?? new Map(),
      })
    }
    return ours.flatMap(({ name }) => this.#known.get(name) ?? [])
  }

  async isCompacted(topic: string): Promise<boolean> {
    const name = this.#prefix + topic
    const known = this.#known.get(name)?.config ?? (await this.#configs([name])).get(name)
    return known?.get('cleanup.policy')?.split(',').includes('compact') ?? false
  }

  /** The least that any of the topics takes; where there are none, what was asked for, else the broker's default. */
  async maxMessageBytes(): Promise<number> {
    const found = await this.find()
    const sizes = found.flatMap(({ config }) => Number(config.get('max.message.bytes') ?? Number.NaN) || [])
    const { maxMessageBytes = sizes.length > 0 ? Number.POSITIVE_INFINITY : await this.#brokerMaxBytes() } =
      this.#settings
    return Math.min(...sizes, maxMessageBytes)
  }

  /** How the topics differ from what is wanted; nothing is changed. */
  async differences(specs: readonly TopicSpec[]): Promise<TopicDifference[]> {
    this.#known.clear()
    const found = new Map((await this.find()).map(topic => [topic.name, topic]))
    return specs.flatMap(spec => {
      const topic = found.get(spec.name)
      if (!topic) return [{ topic: spec.name, setting: 'exists', wanted: 'yes', found: 'no' }]
      const wanted = new Map([
        ['partitions', String(spec.partitions)],
        ['replication', String(this.#replication)],
        ...Object.entries(this.#configOf(spec)),
      ])
      const values = new Map([
        ...topic.config,
        ['partitions', String(topic.partitions)],
        ['replication', String(topic.replication)],
      ])
      return [...wanted].flatMap(([setting, value]) => {
        const is = values.get(setting) ?? ''
        return is === value ? [] : [{ topic: spec.name, setting, wanted: value, found: is }]
      })
    })
  }

  async close(): Promise<void> {
    if (this.#connected) await this.#admin.disconnect().catch(() => {})
  }

  get #replication(): number {
    return this.#settings.replication ?? 1
  }

  #configOf({ compacted }: TopicSpec): Record<string, string> {
    const { maxMessageBytes, retentionMs, config } = this.#settings
    return {
      'cleanup.policy': compacted ? 'compact' : 'delete',
      ...(this.#replication > 2 && { 'min.insync.replicas': '2' }),
      ...(maxMessageBytes !== undefined && { 'max.message.bytes': String(maxMessageBytes) }),
      ...(retentionMs !== undefined && !compacted && { 'retention.ms': String(retentionMs) }),
      ...config,
    }
  }

  async #create(specs: readonly TopicSpec[], validateOnly = false): Promise<void> {
    try {
      await this.#admin.createTopics({
        validateOnly,
        waitForLeaders: !validateOnly,
        timeout: 10_000,
        topics: specs.map(spec => ({
          topic: this.#prefix + spec.name,
          numPartitions: spec.partitions,
          replicationFactor: this.#replication,
          configEntries: Object.entries(this.#configOf(spec)).map(([name, value]) => ({ name, value })),
        })),
      })
    } catch (error) {
      // Several errors come as one.
      const errors: unknown[] = (error as AggregateError).errors ?? [error]
      const other = errors.find(each => typeOf(each) !== 'TOPIC_ALREADY_EXISTS')
      if (other === undefined) return
      const refused = messageOfRefusal(other)
      // kafkajs leaves out what the broker says of the value.
      const asked = [
        `replication=${this.#replication}`,
        ...Object.entries(this.#settings.config ?? {}).map(setting => setting.join('=')),
      ]
      const message = `creating topics with ${asked.join(', ')}: ${refused}`
      if (refused) throw new SituError('CONFIGURATION_INVALID', message, { cause: other })
      throw other
    }
  }

  async #names(): Promise<string[]> {
    const names = await this.#call('listing topics', () => this.#admin.listTopics())
    return names.filter(name => name.startsWith(this.#prefix)).map(name => name.slice(this.#prefix.length))
  }

  async #configs(names: readonly string[]): Promise<Map<string, ReadonlyMap<string, string>>> {
    if (names.length === 0) return new Map()
    const resources = names.map(name => ({ type: ConfigResourceTypes.TOPIC, name }))
    const described = await this.#call('settings of topics', () =>
      this.#admin.describeConfigs({ resources, includeSynonyms: false }),
    )
    return new Map(
      described.resources.map(({ resourceName, configEntries }) => [
        resourceName,
        new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
      ]),
    )
  }

  async #brokerMaxBytes(): Promise<number> {
    try {
      return await this.#call('settings of the brokers', () => this.#readBrokerMaxBytes())
    } catch (error) {
      // Rights on topics, groups and transactional ids are all that a worker needs.
      if (error instanceof SituError && error.code === 'BROKER_UNAUTHORIZED') return usualMaxBytes
      throw error
    }
  }

  async #readBrokerMaxBytes(): Promise<number> {
    const { brokers } = await this.#admin.describeCluster()
    const resources = brokers.map(({ nodeId }) => ({
      type: ConfigResourceTypes.BROKER,
      name: String(nodeId),
      configNames: ['message.max.bytes'],
    }))
    const described = await this.#admin.describeConfigs({ resources, includeSynonyms: false })
    return Math.min(
      ...described.resources.flatMap(({ configEntries }) => configEntries.map(entry => Number(entry.configValue))),
    )
  }

  #call<T>(what: string, work: () => Promise<T>, limits?: CallLimits): Promise<T> {
    return this.#brokers.call(
      what,
      async () => {
        this.#connected ??= this.#admin.connect()
        try {
          await this.#connected
        } catch (error) {
          this.#connected = null
          throw error
        }
        try {
          return await work()
        } catch (error) {
          if (isMute(error)) this.#renew()
          throw error
        }
      },
      limits,
    )
  }

  /** A client that can't be used any more gives way to a new one. */
  #renew(): void {
    void this.#admin.disconnect().catch(() => {})
    this.#admin = this.#kafka.admin()
    this.#connected = null
  }
}
