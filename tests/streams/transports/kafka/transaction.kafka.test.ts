import { afterEach, beforeEach, expect, it } from 'vitest'
import { Brokers } from '../../../../streams/transports/kafka/brokers.ts'
import { settingsOf } from '../../../../streams/transports/kafka/options.ts'
import { TransactionWriter } from '../../../../streams/transports/kafka/transaction.ts'
import type { Broker } from '../../../../streams/transports/kafka/wire.ts'
import { kafkaServices } from '../../../support/kafka.ts'
import { KafkaFixture } from '../kafka-fixture.ts'

/** Knows a keeper of groups that has moved, until it looks anew. */
class StaleBrokers extends Brokers {
  isStale = false

  override async coordinator(kind: 'group' | 'transaction', id: string): Promise<Broker> {
    const broker = await super.coordinator(kind, id)
    if (kind === 'transaction' || !this.isStale) return broker
    const moved = Object.assign(new Error('not the coordinator'), { type: 'NOT_COORDINATOR_FOR_GROUP' })
    return Object.create(broker, { txnOffsetCommit: { value: () => Promise.reject(moved) } })
  }

  override lookAnew(error: unknown): Promise<void> {
    this.isStale = false
    return super.lookAnew(error)
  }
}

let fixture: KafkaFixture
let brokers: StaleBrokers
beforeEach(() => {
  fixture = new KafkaFixture()
})
afterEach(async () => {
  await brokers.close()
  await fixture.close()
})

it('finds the keeper of the lag again after a write that failed since it has moved', async () => {
  const { prefix } = fixture
  const settings = settingsOf({ brokers: kafkaServices().brokers, prefix })
  const transport = await fixture.open()
  await transport.createTopics([{ name: 'article', partitions: 1, compacted: false }])
  brokers = new StaleBrokers(fixture.kafka, settings)
  const writer = new TransactionWriter('main-toy-0', brokers, settings, () => 1_000_000)
  const message = { topic: 'article', partition: 0, key: 'one', value: Buffer.from('value') }
  const lag = { group: `${prefix}.main-toy`, partition: 0, positions: [{ topic: 'article', next: 1, finished: [] }] }
  const write = async () => {
    await writer.fence()
    await writer.write([message], lag)
    return writer.isReady
  }
  // The first group of a broker waits for the topic of its offsets.
  await expect.poll(() => write().catch(() => false), { timeout: 20_000 }).toBe(true)
  brokers.isStale = true
  await expect(writer.write([message], lag)).rejects.toThrow('not the coordinator')
  expect(await write()).toBe(true)
})
