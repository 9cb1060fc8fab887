import { randomUUID } from 'node:crypto'
import type { Kafka } from 'kafkajs'
import { SituError } from '../../../schemas/errors.ts'
import { checkCompacted, closedError, OutgoingCheck } from '../outgoing.ts'
import type {
  Batch,
  Claim,
  Membership,
  Message,
  OutgoingMessage,
  ReadOptions,
  Survey,
  TaskSpec,
  TopicInfo,
  TopicSpec,
  Transport,
} from '../transport.ts'
import { Brokers } from './brokers.ts'
import { KafkaClaim } from './claim.ts'
import { createClient } from './client.ts'
import { Fetch } from './fetch.ts'
import { GroupMember } from './group-member.ts'
import { GroupRoll } from './group-roll.ts'
import { LogReader } from './log-reader.ts'
import { KafkaMetrics } from './metrics.ts'
import { NewestMessages } from './newest-messages.ts'
import { brokerNames, type KafkaOptions, type Settings, settingsOf } from './options.ts'
import { Producer } from './producer.ts'
import { Sockets } from './sockets.ts'
import { TopicAdmin, type TopicDifference } from './topic-admin.ts'
import { newestTime, type TopicBounds, topicBytes } from './topic-figures.ts'
import { readTopicId } from './topic-ids.ts'
import { TransactionWriter } from './transaction.ts'
import { Watch } from './watch.ts'

/** What a broker adds to the key and value of one message: headers, and the header of its batch. */
const overheadBytes = 8192
/** A commit may be larger than a batch, for it is written in several; it is held in memory. */
const batchesPerCommit = 4
/** A transaction has six requests, however small it is. */
const commitRecords = 2000
/** Share of the largest message that the messages of one batch may take. */
const batchShare = 0.8

/**
 * Connects to the brokers. The names of topics, transactional ids and groups on the brokers begin with the prefix; the
 * transport's own names are without it.
 *
 * @throws {SituError} BROKER_UNREACHABLE, BROKER_AUTHENTICATION, BROKER_UNAUTHORIZED
 */
export async function openKafka(options: KafkaOptions): Promise<KafkaTransport> {
  const settings = settingsOf(options)
  const transport = new KafkaTransport(settings)
  try {
    await transport.connect()
  } catch (error) {
    await transport.close()
    throw error
  }
  return transport
}

/**
 * A log on Apache Kafka. `get` on a compacted topic keeps the newest messages in memory and reads on; `get` on another
 * topic, and `children`, read the whole topic. `shared` and `ifAbsent` are ignored, and nothing is counted as already
 * there.
 */
export class KafkaTransport implements Transport {
  readonly name = 'kafka'
  readonly metrics = new KafkaMetrics()
  readonly #settings: Settings
  readonly #sockets: Sockets
  readonly #kafka: Kafka
  readonly #asking: Brokers
  readonly #following: Brokers
  readonly #writing: Brokers
  readonly #admin: TopicAdmin
  readonly #fetch: Fetch
  readonly #reader: LogReader
  readonly #producer: Producer
  readonly #newest = new Map<string, NewestMessages>()
  readonly #topicIds = new Map<string, Promise<string | null>>()
  readonly #members = new Set<GroupMember>()
  readonly #closing = new AbortController()
  #limits: Transport['limits'] = { maxMessageBytes: 0, maxCommitBytes: 0 }

  constructor(settings: Settings) {
    this.#settings = settings
    this.#sockets = new Sockets(settings.socketFactory)
    this.#kafka = createClient(settings, this.#sockets.factory)
    this.#asking = new Brokers(this.#kafka, settings)
    this.#following = new Brokers(this.#kafka, settings)
    this.#writing = new Brokers(this.#kafka, settings)
    const onFetch = () => {
      this.metrics.lastFetch = Date.now()
    }
    this.#fetch = new Fetch(this.#asking, onFetch)
    const watch = new Watch(this.#following, new Fetch(this.#following, onFetch), settings.maxWaitMs)
    this.#reader = new LogReader(this.#fetch, watch)
    this.#admin = new TopicAdmin(this.#kafka, this.#asking, settings.prefix, settings.topicSettings)
    this.#producer = new Producer(this.#writer(`produce-${randomUUID()}`), this.#reader, settings)
  }

  get limits(): Transport['limits'] {
    return this.#limits
  }

  /** @throws {SituError} BROKER_UNREACHABLE, BROKER_AUTHENTICATION, BROKER_UNAUTHORIZED */
  async connect(): Promise<void> {
    const { brokers, connectTimeoutMs } = this.#settings
    // More than a connection: a broker that wants a login says hello first, and hangs up at the first question.
    const ask = () => this.#asking.any()
    await this.#asking.call(`brokers ${brokers.join(', ')}`, ask, { withinMs: connectTimeoutMs })
    await this.#readLimits()
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    this.#checkOpen()
    await this.#admin.create(specs)
    await this.#readLimits()
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    this.#checkOpen()
    await this.#admin.delete(names)
    for (const name of names) {
      this.#newest.delete(name)
      this.#topicIds.delete(name)
    }
  }

  /** How the topics differ from what is wanted. */
  async topicDifferences(specs: readonly TopicSpec[]): Promise<TopicDifference[]> {
    this.#checkOpen()
    return this.#admin.differences(specs)
  }

  /** Kafka does not count records; `written` is known only where it is 0. Bytes and newest message: see `survey`. */
  async topics(): Promise<TopicInfo[]> {
    return (await this.#topicsWithBounds()).map(({ info }) => info)
  }

  async bounds(topic: string, partition: number): Promise<{ start: number; end: number }> {
    this.#checkOpen()
    return this.#fetch.bounds(topic, partition)
  }

  /** Asked for once: a topic that is deleted ends all that works on it. */
  async topicId(topic: string): Promise<string | null> {
    this.#checkOpen()
    let id = this.#topicIds.get(topic)
    if (!id) {
      id = readTopicId(this.#asking, topic)
      this.#topicIds.set(topic, id)
      id.catch(() => this.#topicIds.delete(topic))
    }
    return id
  }

  async offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    this.#checkOpen()
    return this.#reader.offsetAt(topic, partition, timestamp, this.#closing.signal)
  }

  async *read(topic: string, partition: number, from: number, options: ReadOptions = {}): AsyncGenerator<Batch> {
    this.#checkOpen()
    const closing = this.#closing.signal
    const signal = options.signal ? AbortSignal.any([options.signal, closing]) : closing
    yield* this.#reader.read(topic, partition, from, { ...options, signal })
  }

  async *compacted(topic: string, partition?: number): AsyncGenerator<Message> {
    await this.#checkCompacted(topic)
    if (partition !== undefined) await this.#asking.checkPartition(topic, partition)
    const bounds = await this.#fetch.allBounds(topic)
    for (const place of bounds) {
      if ((partition ?? place.partition) !== place.partition) continue
      const newest = new Map<string, Message>()
      for await (const { messages } of this.read(topic, place.partition, 0)) {
        for (const message of messages) {
          if (message.key === null) continue
          if (message.value === null) newest.delete(message.key)
          // A copy: the value is a view of a whole page.
          else newest.set(message.key, { ...message, value: Uint8Array.from(message.value) })
        }
      }
      yield* newest.values()
    }
  }

  /** The messages first: no task record shows more than the bounds that follow. */
  async survey(compacted: string): Promise<Survey> {
    const messages: Message[] = []
    for await (const message of this.compacted(compacted)) messages.push(message)
    const found = await this.#topicsWithBounds()
    const bytes = await topicBytes(this.#asking, new Map(found.map(({ info }) => [info.name, info.partitions])))
    const topics = await Promise.all(
      found.map(async ({ info, bounds }) => {
        const times = await Promise.all(bounds.map(place => newestTime(this.#reader, place, this.#closing.signal)))
        const newest = Math.max(...times.map(time => time ?? Number.NEGATIVE_INFINITY))
        return { ...info, bytes: bytes.get(info.name) ?? null, newest: Number.isFinite(newest) ? newest : null }
      }),
    )
    return { topics, bounds: found.flatMap(({ bounds }) => bounds), messages }
  }

  async get(topic: string, key: string): Promise<Message | null> {
    this.#checkOpen()
    const partitions = await this.#asking.partitionCount(topic)
    if (await this.#admin.isCompacted(topic)) return this.#newestOf(topic).get(key)
    let newest: Message | null = null
    for await (const message of this.#scan(topic, partitions)) {
      if (message.key === key && (newest === null || message.timestamp >= newest.timestamp)) newest = message
    }
    return newest?.value == null ? null : newest
  }

  async *children(topic: string, parent: string): AsyncGenerator<Message> {
    this.#checkOpen()
    for await (const message of this.#scan(topic, await this.#asking.partitionCount(topic))) {
      if (message.parent === parent) yield message
    }
  }

  async produce(messages: readonly OutgoingMessage[], finish?: (there: number) => OutgoingMessage): Promise<number> {
    this.#checkOpen()
    const all = finish ? [...messages, finish(0)] : messages
    await this.#check(all)
    if (all.length > 0) await this.#producer.write(all)
    return 0
  }

  async join(tasks: readonly TaskSpec[], assigned: (claim: Claim) => void): Promise<Membership> {
    this.#checkOpen()
    if (tasks.length === 0) return { held: [], confirm: async () => {}, leave: async () => {} }
    const { rollFolder } = this.#settings
    const workerId = randomUUID()
    const settings = { ...this.#settings, clientId: `${this.#settings.clientId}-${workerId}` }
    const sockets = new Sockets(this.#sockets.factory)
    const member = new GroupMember(tasks, {
      brokers: new Brokers(createClient(settings, sockets.factory), settings),
      asking: this.#asking,
      hangUp: () => sockets.close(),
      workerId,
      settings,
      roll: rollFolder === null ? null : new GroupRoll(rollFolder, workerId, this.#asking, settings),
      metrics: this.metrics,
      takeOver: (task, taker, signal) => this.#takeOver(task, taker, signal),
      assigned,
    })
    this.#members.add(member)
    await member.start()
    return member
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await Promise.all([...this.#members].map(member => member.leave()))
    await this.#admin.close()
    await Promise.all([this.#asking, this.#following, this.#writing].map(brokers => brokers.close()))
    this.#sockets.close()
  }

  async #takeOver(task: TaskSpec, member: GroupMember, signal: AbortSignal): Promise<KafkaClaim> {
    const writer = this.#writer(task.id)
    const epoch = await writer.fence(signal)
    return new KafkaClaim(task, epoch, {
      writer,
      reader: this.#reader,
      settings: this.#settings,
      metrics: this.metrics,
      get: (topic, key) => this.get(topic, key),
      check: messages => this.#check(messages),
      confirm: ended => member.confirm(ended),
      onEnd: claim => member.ended(claim, claim.lost.aborted),
    })
  }

  async #topicsWithBounds(): Promise<{ info: TopicInfo; bounds: TopicBounds[] }[]> {
    this.#checkOpen()
    const found = await this.#admin.find()
    return Promise.all(
      found.map(async ({ name, partitions, config }) => {
        const all = await this.#fetch.allBounds(name)
        const bounds = all.map(({ partition, start, end }) => ({ topic: name, partition, start, end }))
        const none = bounds.every(({ end }) => end === 0) ? 0 : null
        const compacted = config.get('cleanup.policy')?.includes('compact') ?? false
        const info = { name, partitions, compacted, records: none, written: none, bytes: null, newest: null }
        return { info, bounds }
      }),
    )
  }

  #writer(name: string): TransactionWriter {
    const id = brokerNames.transaction(this.#settings.prefix, name)
    const maxBatchBytes = () => Math.floor(this.#limits.maxMessageBytes * batchShare)
    return new TransactionWriter(id, this.#writing, this.#settings, maxBatchBytes)
  }

  #newestOf(topic: string): NewestMessages {
    const known = this.#newest.get(topic)
    if (known) return known
    const newest = new NewestMessages(topic, this.#fetch, this.#reader, this.#closing.signal)
    this.#newest.set(topic, newest)
    return newest
  }

  async *#scan(topic: string, partitions: number): AsyncGenerator<Message> {
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of this.read(topic, partition, 0)) yield* messages
    }
  }

  /** @throws {SituError} TOPIC_UNKNOWN, RECORD_TOO_LARGE, OPERATOR_BUG */
  async #check(messages: readonly OutgoingMessage[]): Promise<void> {
    const partitions = new Map<string, number>()
    for (const { topic, key } of messages) {
      // Without a key kafkajs would choose the partition anew at each try, and nobody could find the message again.
      if (typeof key !== 'string') throw new SituError('OPERATOR_BUG', `topic ${topic}: a message without a key`)
      if (!partitions.has(topic)) partitions.set(topic, await this.#writing.partitionCount(topic))
    }
    const check = new OutgoingCheck(this.#limits, name => {
      return { name, partitions: partitions.get(name) ?? 0, compacted: false }
    })
    for (const message of messages) check.check(message)
  }

  async #checkCompacted(topic: string): Promise<void> {
    this.#checkOpen()
    const partitions = await this.#asking.partitionCount(topic)
    checkCompacted({ name: topic, partitions, compacted: await this.#admin.isCompacted(topic) })
  }

  async #readLimits(): Promise<void> {
    const maxMessageBytes = Math.max(1, (await this.#admin.maxMessageBytes()) - overheadBytes)
    this.#limits = { maxMessageBytes, maxCommitBytes: batchesPerCommit * maxMessageBytes, commitRecords }
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError(this.name)
  }
}
