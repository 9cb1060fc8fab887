/**
 * The loop of kafkajs's documentation for exactly-once copies: one transaction for each batch that was fetched, with the
 * offsets in it. One transactional producer for each partition, so that partitions do not wait for each other.
 *
 * Words: brokers, group, input, output, compression (none or zstd).
 */
import kafkajs, { Kafka, type Producer } from 'kafkajs'
// Registers zstd, in which the input is written.
import { zstd } from '../../../streams/transports/kafka/wire.ts'

const [brokers = '', groupId = '', input = '', output = '', compression = 'none'] = process.argv.slice(2)
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.ERROR })
const consumer = kafka.consumer({ groupId, readUncommitted: false })
const producers = new Map<number, Promise<Producer>>()

/** Short pauses where a transaction is begun right behind another: with the default of 300 ms it would mostly wait. */
async function openProducer(partition: number): Promise<Producer> {
  const retry = { initialRetryTime: 2, retries: 20 }
  const transactionalId = `${groupId}-${partition}`
  const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1, retry })
  await producer.connect()
  return producer
}

function producerOf(partition: number): Promise<Producer> {
  const known = producers.get(partition) ?? openProducer(partition)
  producers.set(partition, known)
  return known
}

await consumer.connect()
await consumer.subscribe({ topics: [input], fromBeginning: true })
await consumer.run({
  autoCommit: false,
  partitionsConsumedConcurrently: 16,
  eachBatch: async ({ batch }) => {
    const { partition, messages } = batch
    const transaction = await (await producerOf(partition)).transaction()
    await transaction.send({
      topic: output,
      compression: compression === 'zstd' ? zstd : kafkajs.CompressionTypes.None,
      messages: messages.map(({ key, value, timestamp }) => ({ key, value, timestamp, partition })),
    })
    const offset = String(Number(batch.lastOffset()) + 1)
    await transaction.sendOffsets({
      consumerGroupId: groupId,
      topics: [{ topic: input, partitions: [{ partition, offset }] }],
    })
    await transaction.commit()
  },
})
