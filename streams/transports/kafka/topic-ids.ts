import type { Brokers } from './brokers.ts'
import { type Answer, compactLength, sendRaw } from './raw-request.ts'

const metadata = { apiKey: 3, apiVersion: 10, apiName: 'Metadata' }
/** Since Kafka 2.8. */
const firstVersionWithIds = metadata.apiVersion
const idBytes = 16
const noTags = Buffer.of(0)

/**
 * The id that a topic was given when it was made, in hex; null where the brokers give none.
 *
 * @see https://kafka.apache.org/protocol Metadata, version 10
 */
export function readTopicId(brokers: Brokers, topic: string): Promise<string | null> {
  const name = Buffer.from(brokers.wireName(topic))
  const wanted = [Buffer.alloc(idBytes), compactLength(name.length), name, noTags]
  const flags = Buffer.from([0, 0, 0])
  // The tagged fields of the header first, for kafkajs writes one without.
  const body = Buffer.concat([noTags, compactLength(1), ...wanted, flags, noTags])
  return brokers.call(`id of topic ${topic}`, async () => {
    const broker = await brokers.leader(topic, 0)
    if ((broker.versions?.[metadata.apiKey]?.maxVersion ?? 0) < firstVersionWithIds) return null
    return sendRaw(broker, { ...metadata, body, read: readId })
  })
}

function readId(answer: Answer): string | null {
  answer.tags()
  // Throttle time.
  answer.int32()
  answer.compactArray(() => {
    answer.int32()
    answer.compactString()
    answer.int32()
    answer.compactString()
    answer.tags()
  })
  // Id of the cluster, and its controller.
  answer.compactString()
  answer.int32()
  const [id = null] = answer.compactArray(() => {
    answer.int16()
    answer.compactString()
    const bytes = answer.take(idBytes)
    answer.take(1)
    answer.compactArray(() => {
      // Error, number, leader and its epoch; then replicas: all, in sync, offline.
      answer.take(14)
      for (let lists = 0; lists < 3; lists++) answer.compactArray(() => answer.int32())
      answer.tags()
    })
    answer.int32()
    answer.tags()
    return bytes.some(byte => byte !== 0) ? bytes.toString('hex') : null
  })
  return id
}
