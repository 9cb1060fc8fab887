import { createRequire } from 'node:module'
import type { OutgoingMessage } from '../transport.ts'
import { encodeBatch } from './record-batch.ts'
import type { Broker, ProducerIdentity, RawCall } from './wire.ts'

type ProduceResponse = { topics: { topicName: string; partitions: { partition: number; baseOffset: string }[] }[] }

/** kafkajs has it, but does not export it. Its `parse` throws what the broker refuses. */
const response = createRequire(import.meta.url)(
  'kafkajs/src/protocol/requests/produce/v7/response.js',
) as RawCall<ProduceResponse>['response']

/** The first version that knows zstd, and the last that kafkajs speaks. */
const api = { apiKey: 0, apiVersion: 7, apiName: 'Produce' }
/** All replicas that are in sync. */
const acks = -1

export interface PartitionMessages {
  /** As the brokers call it. */
  topic: string
  partition: number
  firstSequence: number
  messages: readonly OutgoingMessage[]
}

/** Writes batches of a transaction to the broker that leads their partitions; one for each partition. */
export async function produce(
  broker: Broker,
  identity: ProducerIdentity,
  batches: readonly PartitionMessages[],
  timeoutMs: number,
): Promise<ProduceResponse> {
  const buffer = await encodeRequest(identity, batches, timeoutMs)
  const request = { ...api, expectResponse: () => true, encode: async () => ({ buf: buffer, buffer }) }
  try {
    return await broker.connectionPool.send({ request, response })
  } catch (error) {
    // As kafkajs does for requests of its own.
    if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError') await broker.disconnect()
    throw error
  }
}

async function encodeRequest(
  identity: ProducerIdentity,
  batches: readonly PartitionMessages[],
  timeoutMs: number,
): Promise<Buffer> {
  const now = Date.now()
  const byTopic = Map.groupBy(batches, ({ topic }) => topic)
  const parts = [text(identity.transactionalId), int16(acks), int32(timeoutMs), int32(byTopic.size)]
  for (const [topic, group] of byTopic) {
    parts.push(text(topic), int32(group.length))
    for (const { partition, firstSequence, messages } of group) {
      const batch = await encodeBatch(messages, { ...identity, firstSequence }, now)
      parts.push(int32(partition), int32(batch.length), batch)
    }
  }
  return Buffer.concat(parts)
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([int16(bytes.length), bytes])
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}
