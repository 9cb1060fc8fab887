import type { Kafka } from 'kafkajs'
import { SituError } from '../../../schemas/errors.ts'
import { checkPartition, closedError, unknownTopic } from '../outgoing.ts'
import { isMute, isPassing, lostBroker, rootOf, toSituError, typeOf } from './broker-error.ts'
import { atMost, type Settings, wait } from './options.ts'
import { type Broker, type Cluster, openCluster } from './wire.ts'

const firstPauseMs = 5
const lastPauseMs = 1000
/** A topic made a moment ago may not have come to every broker yet. */
const unknownTopicMs = 500
/** An outage is told at first and then this often. */
const tellEveryMs = 10_000
const closeMs = 2000

/** One set of connections to the brokers: who leads what, and calls that wait where nobody answers. */
export class Brokers {
  readonly #settings: Settings
  readonly #kafka: Kafka
  #cluster: Cluster
  readonly #coordinators = new Map<string, Broker>()
  readonly #opening = new Map<Broker, Promise<void>>()
  readonly #closing = new AbortController()
  #connected: Promise<void> | null = null

  constructor(kafka: Kafka, settings: Settings) {
    this.#settings = settings
    this.#kafka = kafka
    this.#cluster = openCluster(kafka)
  }

  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Name of a topic on the brokers. */
  wireName(topic: string): string {
    return `${this.#settings.prefix}.${topic}`
  }

  /**
   * Calls until it is answered. Waits for brokers that are gone, and says so.
   *
   * @param what - Begins the messages.
   * @throws {SituError} BROKER_UNREACHABLE after the time, any other error at once; TRANSPORT_CLOSED.
   */
  async call<T>(what: string, work: () => Promise<T>, limits: CallLimits = {}): Promise<T> {
    const { signal, withinMs = this.#settings.outageMs, unknownMs = unknownTopicMs } = limits
    const begin = Date.now()
    let told = begin
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, lastPauseMs)) {
      this.#checkOpen()
      const cluster = this.#cluster
      try {
        await this.#connect()
        return await work()
      } catch (error) {
        this.#checkOpen()
        const isNew = typeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION' && Date.now() < begin + unknownMs
        if (!(isPassing(error) || isNew) || signal?.aborted) throw toSituError(error, what)
        if (isMute(error) && cluster === this.#cluster) this.#renew()
        await this.lookAnew(error)
        if (Date.now() - begin >= withinMs) throw this.#unreachable(error, what, begin)
        if (Date.now() - told > tellEveryMs || (told === begin && pauseMs >= lastPauseMs)) {
          told = Date.now()
          const seconds = Math.round((told - begin) / 1000)
          const message = `${what}: no broker has answered for ${seconds} s; waiting`
          this.#settings.log.warn({ error: rootOf(error)?.message }, message)
        }
        await wait(pauseMs, signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal)
      }
    }
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  async partitionCount(topic: string, limits?: CallLimits): Promise<number> {
    return (await this.#partitions(topic, limits)).length
  }

  /** @throws {SituError} TOPIC_UNKNOWN */
  async checkPartition(topic: string, partition: number): Promise<void> {
    const partitions = await this.partitionCount(topic)
    checkPartition({ name: topic, partitions, compacted: false }, partition)
  }

  /** To be called within `call`. */
  async leader(topic: string, partition: number): Promise<Broker> {
    const found = (await this.#metadata(topic)).find(({ partitionId }) => partitionId === partition)
    return this.#opened(await this.#cluster.findBroker({ nodeId: found?.leader ?? -1 }))
  }

  /** Some broker. To be called within `call`. */
  async any(): Promise<Broker> {
    await this.#cluster.refreshMetadata()
    return this.#opened(await this.#cluster.findControllerBroker())
  }

  /** All that are alive. To be called within `call`. */
  async all(): Promise<Broker[]> {
    await this.#cluster.refreshMetadata()
    const { brokers } = this.#cluster.brokerPool.metadata
    return Promise.all(brokers.map(async ({ nodeId }) => this.#opened(await this.#cluster.findBroker({ nodeId }))))
  }

  /** Who keeps a group, or a transactional id. To be called within `call`. */
  async coordinator(kind: 'group' | 'transaction', id: string): Promise<Broker> {
    const name = `${kind} ${id}`
    const known = this.#coordinators.get(name)
    if (known?.isConnected()) return this.#opened(known)
    const broker = await this.#opened(
      await this.#findCoordinator({ groupId: id, coordinatorType: kind === 'group' ? 0 : 1 }),
    )
    this.#coordinators.set(name, broker)
    return broker
  }

  async #findCoordinator(wanted: { groupId: string; coordinatorType: 0 | 1 }): Promise<Broker> {
    try {
      return await this.#cluster.findGroupCoordinator(wanted)
    } catch (error) {
      // kafkajs keeps to itself why no broker told: a missing right, for one, is nothing to wait for.
      if (rootOf(error).name === 'KafkaJSGroupCoordinatorNotFound')
        await (await this.any()).findGroupCoordinator(wanted)
      throw error
    }
  }

  /** Forgets what an error shows to be out of date. `call` does it by itself. */
  async lookAnew(error: unknown): Promise<void> {
    this.#coordinators.clear()
    const address = lostBroker(error)
    if (address) this.#cluster.removeBroker(address)
    await this.#refresh()
  }

  /** A client that can't be used any more gives way to a new one, with new connections. */
  #renew(): void {
    const old = this.#cluster
    this.#cluster = openCluster(this.#kafka)
    this.#connected = null
    void old.disconnect().catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#connected?.catch(() => {})
    // An open request of a hanging broker must not hold the process.
    await atMost(closeMs, this.#cluster.disconnect())
  }

  async #partitions(topic: string, limits?: CallLimits): Promise<{ partitionId: number }[]> {
    try {
      return await this.call(`topic ${topic}`, () => this.#metadata(topic), limits)
    } catch (error) {
      if (error instanceof SituError && error.code === 'TOPIC_UNKNOWN') throw unknownTopic(topic)
      throw error
    }
  }

  async #metadata(topic: string) {
    const name = this.wireName(topic)
    const { targetTopics } = this.#cluster
    if (targetTopics.has(name)) await this.#cluster.refreshMetadataIfNecessary()
    else await this.#cluster.addMultipleTargetTopics([name])
    return this.#cluster.findTopicPartitionMetadata(name)
  }

  /** Opens the connections of a broker one at a time: two requests at once would each open one, and one gets lost. */
  async #opened(broker: Broker): Promise<Broker> {
    const { pool } = broker.connectionPool
    if (pool.every(connection => connection.isConnected())) return broker
    let opening = this.#opening.get(broker)
    if (!opening) {
      opening = openAll(broker).finally(() => this.#opening.delete(broker))
      this.#opening.set(broker, opening)
    }
    await opening
    return broker
  }

  async #connect(): Promise<void> {
    this.#connected ??= this.#cluster.connect()
    try {
      await this.#connected
    } catch (error) {
      this.#connected = null
      throw error
    }
  }

  async #refresh(): Promise<void> {
    try {
      await this.#cluster.refreshMetadata()
    } catch (error) {
      // One topic that was deleted would fail every later question about the others.
      if (typeOf(error) !== undefined) this.#cluster.targetTopics.clear()
    }
  }

  #unreachable(error: unknown, what: string, begin: number): SituError {
    const { brokers } = this.#settings
    const seconds = Math.round((Date.now() - begin) / 1000)
    const message = `${what}: no answer from ${brokers.join(', ')} for ${seconds} s: ${rootOf(error)?.message}`
    return new SituError('BROKER_UNREACHABLE', message, { cause: error })
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError('kafka')
  }
}

export interface CallLimits {
  /** Ends the waiting; the error is thrown. */
  signal?: AbortSignal
  withinMs?: number
  /** How long a topic may be unknown to a broker; default 500. */
  unknownMs?: number
}

async function openAll({ connectionPool }: Broker): Promise<void> {
  for (const index of connectionPool.pool.keys()) await connectionPool.getConnection(index)
}
