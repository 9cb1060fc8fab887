import type { OutgoingMessage, TaskPosition } from '../transport.ts'
import { isFenced, isPassing, typeOf } from './broker-error.ts'
import type { Brokers } from './brokers.ts'
import { type Settings, wait } from './options.ts'
import { produce } from './produce-request.ts'
import type { Broker, ProducerIdentity } from './wire.ts'

/** Bytes of a message beside key, value and parent, at most. */
const messageOverheadBytes = 100
/** A transaction begun right after another waits for the ends of that one to be written: a few milliseconds. */
const concurrentPauseMs = 2
const lastConcurrentPauseMs = 50
/** An epoch of a producer has 15 bits. */
const epochsPerProducer = 32_768

export interface WrittenPlace {
  topic: string
  partition: number
  offset: number
}

/** A group whose offsets show how far a task is, for lag tools. */
export interface LagOffsets {
  group: string
  partition: number
  positions: readonly TaskPosition[]
}

/** A transaction that was written to the end, and whose end was not answered: nobody knows yet whether it counts. */
export class OutcomeUnknown extends Error {
  readonly place: WrittenPlace | null

  constructor(place: WrittenPlace | null, cause: unknown) {
    super('the end of the transaction was not answered', { cause })
    this.place = place
  }
}

interface PartitionBatch {
  topic: string
  partition: number
  messages: OutgoingMessage[]
}

/**
 * Writes transactions under one transactional id, one at a time. It tries nothing again by itself: after any error the
 * caller fences (which ends the open transaction) and decides.
 */
export class TransactionWriter {
  readonly transactionalId: string
  readonly #brokers: Brokers
  readonly #settings: Settings
  readonly #maxBatchBytes: () => number
  #identity: ProducerIdentity | null = null
  readonly #sequences = new Map<string, number>()

  constructor(transactionalId: string, brokers: Brokers, settings: Settings, maxBatchBytes: () => number) {
    this.transactionalId = transactionalId
    this.#brokers = brokers
    this.#settings = settings
    this.#maxBatchBytes = maxBatchBytes
  }

  get isReady(): boolean {
    return this.#identity !== null
  }

  /**
   * Takes the transactional id over: what its former owner has not committed is aborted, and it can write nothing more.
   *
   * @returns A number that grows with each fence.
   */
  async fence(signal?: AbortSignal): Promise<number> {
    const { transactionalId } = this
    const { transactionTimeoutMs: transactionTimeout } = this.#settings
    const { producerId, producerEpoch } = await this.#brokers.call(
      `transactional id ${transactionalId}`,
      async () => {
        const coordinator = await this.#brokers.coordinator('transaction', transactionalId)
        return this.#afterConcurrent(() => coordinator.initProducerId({ transactionalId, transactionTimeout }))
      },
      signal ? { signal } : {},
    )
    this.#identity = { transactionalId, producerId, producerEpoch }
    this.#sequences.clear()
    return Number(producerId) * epochsPerProducer + producerEpoch
  }

  /**
   * Writes all messages, or none that a reader of committed messages sees.
   *
   * @throws {OutcomeUnknown} Nobody knows which of the two; every other error: none. The next call needs a fence first.
   */
  async write(messages: readonly OutgoingMessage[], lag: LagOffsets | null): Promise<void> {
    const identity = this.#identity
    if (!identity) throw new Error('a transaction needs a fence first')
    this.#identity = null
    try {
      await this.#write(identity, messages, lag)
    } catch (error) {
      // A fence succeeds without the leaders and the keeper of the lag, which may be others by now.
      if (!isFenced(error)) await this.#brokers.lookAnew(error)
      throw error
    }
    this.#identity = identity
  }

  async #write(
    identity: ProducerIdentity,
    messages: readonly OutgoingMessage[],
    lag: LagOffsets | null,
  ): Promise<void> {
    const batches = this.#batches(messages)
    const coordinator = await this.#brokers.coordinator('transaction', this.transactionalId)
    const topics = [...Map.groupBy(batches, ({ topic }) => topic)].map(([topic, group]) => ({
      topic: this.#brokers.wireName(topic),
      partitions: [...new Set(group.map(({ partition }) => partition))],
    }))
    await this.#afterConcurrent(() => coordinator.addPartitionsToTxn({ ...identity, topics }))
    const [place] = await Promise.all([
      this.#produceAll(identity, batches),
      lag && this.#writeOffsets(coordinator, identity, lag),
    ])
    try {
      await coordinator.endTxn({ ...identity, transactionResult: true })
    } catch (error) {
      throw isFenced(error) || !isPassing(error) ? error : new OutcomeUnknown(place, error)
    }
  }

  /** Ends what is open after an error that was not passing; quietly, since the next fence does it too. */
  async abort(): Promise<void> {
    await this.fence().catch(() => {})
  }

  /** Within one produce request a partition has one batch; what is more goes into the next request. */
  async #produceAll(identity: ProducerIdentity, batches: readonly PartitionBatch[]): Promise<WrittenPlace | null> {
    let place: WrittenPlace | null = null
    const rounds: PartitionBatch[][] = []
    const seen = new Map<string, number>()
    for (const batch of batches) {
      const name = `${batch.topic}/${batch.partition}`
      const round = seen.get(name) ?? 0
      seen.set(name, round + 1)
      rounds[round] = [...(rounds[round] ?? []), batch]
    }
    for (const round of rounds) {
      const byLeader = new Map<Broker, PartitionBatch[]>()
      for (const batch of round) {
        const leader = await this.#brokers.leader(batch.topic, batch.partition)
        byLeader.set(leader, [...(byLeader.get(leader) ?? []), batch])
      }
      const places = await Promise.all([...byLeader].map(([leader, group]) => this.#produce(leader, identity, group)))
      place ??= places[0] ?? null
    }
    return place
  }

  /** @returns The place of the first message. */
  async #produce(
    leader: Broker,
    identity: ProducerIdentity,
    batches: readonly PartitionBatch[],
  ): Promise<WrittenPlace | null> {
    const sequenced = batches.map(({ topic, partition, messages }) => {
      const name = `${topic}/${partition}`
      const firstSequence = this.#sequences.get(name) ?? 0
      this.#sequences.set(name, (firstSequence + messages.length) % 0x8000_0000)
      return { topic: this.#brokers.wireName(topic), partition, firstSequence, messages }
    })
    const { topics } = await produce(leader, identity, sequenced, this.#settings.transactionTimeoutMs)
    const [first] = batches
    const written = topics.find(({ topicName }) => first && topicName === this.#brokers.wireName(first.topic))
    const offset = written?.partitions.find(({ partition }) => partition === first?.partition)?.baseOffset
    return first && offset !== undefined
      ? { topic: first.topic, partition: first.partition, offset: Number(offset) }
      : null
  }

  async #writeOffsets(coordinator: Broker, identity: ProducerIdentity, lag: LagOffsets): Promise<void> {
    const { group: groupId, partition, positions } = lag
    await coordinator.addOffsetsToTxn({ ...identity, groupId })
    const keeper = await this.#brokers.coordinator('group', groupId)
    const topics = positions.map(({ topic, next }) => ({
      topic: this.#brokers.wireName(topic),
      partitions: [{ partition, offset: String(next), metadata: null }],
    }))
    await keeper.txnOffsetCommit({ ...identity, groupId, topics })
  }

  /** Messages by partition, in their order, in batches below the largest size that a broker takes. */
  #batches(messages: readonly OutgoingMessage[]): PartitionBatch[] {
    const maxBytes = this.#maxBatchBytes()
    const batches: PartitionBatch[] = []
    const open = new Map<string, { batch: PartitionBatch; bytes: number }>()
    for (const message of messages) {
      const { topic, partition } = message
      const name = `${topic}/${partition}`
      const bytes = sizeOf(message)
      let last = open.get(name)
      if (!last || last.bytes + bytes > maxBytes) {
        last = { batch: { topic, partition, messages: [] }, bytes: 0 }
        open.set(name, last)
        batches.push(last.batch)
      }
      last.bytes += bytes
      last.batch.messages.push(message)
    }
    return batches
  }

  async #afterConcurrent<T>(work: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + this.#settings.transactionTimeoutMs
    for (let pauseMs = concurrentPauseMs; ; pauseMs = Math.min(pauseMs * 2, lastConcurrentPauseMs)) {
      try {
        return await work()
      } catch (error) {
        if (typeOf(error) !== 'CONCURRENT_TRANSACTIONS' || Date.now() > deadline) throw error
      }
      await wait(pauseMs, this.#brokers.closing)
    }
  }
}

function sizeOf({ key, value, parent }: OutgoingMessage): number {
  return Buffer.byteLength(key) + (value?.length ?? 0) + (parent?.length ?? 0) + messageOverheadBytes
}
