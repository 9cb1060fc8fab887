import { SituError } from '../../schemas/errors.ts'
import type { OutgoingMessage, TopicSpec, Transport } from './transport.ts'

/** What every backend with its own log checks before it writes anything, in the order of the messages. */
export class OutgoingCheck {
  readonly #limits: Transport['limits']
  readonly #topicOf: (name: string) => TopicSpec
  readonly #bytesOf = new Map<string, number>()

  /** @param topicOf - Throws TOPIC_UNKNOWN. */
  constructor(limits: Transport['limits'], topicOf: (name: string) => TopicSpec) {
    this.#limits = limits
    this.#topicOf = topicOf
  }

  /**
   * @returns Bytes of key and value.
   * @throws {SituError} TOPIC_UNKNOWN, RECORD_TOO_LARGE.
   */
  check(message: OutgoingMessage): number {
    const { topic, partition, key } = message
    checkPartition(this.#topicOf(topic), partition)
    const size = messageBytes(message)
    if (size > this.#limits.maxMessageBytes) {
      throw new SituError(
        'RECORD_TOO_LARGE',
        `topic ${topic}, key ${shown(key)}: ${size} bytes, the limit is ${this.#limits.maxMessageBytes}`,
      )
    }
    const place = `${partition} ${topic}`
    const sum = (this.#bytesOf.get(place) ?? 0) + size
    if (sum > this.#limits.maxCommitBytes) {
      throw new SituError(
        'RECORD_TOO_LARGE',
        `topic ${topic}, key ${shown(key)}: one commit holds ${sum} bytes for partition ${partition}, ` +
          `the limit is ${this.#limits.maxCommitBytes}`,
      )
    }
    this.#bytesOf.set(place, sum)
    return size
  }
}

export function messageBytes({ key, value }: { key: string | null; value: Uint8Array | null }): number {
  return (key === null ? 0 : Buffer.byteLength(key)) + (value?.length ?? 0)
}

/** @throws {SituError} TOPIC_UNKNOWN */
export function checkPartition(topic: TopicSpec, partition: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < topic.partitions) return
  throw new SituError(
    'TOPIC_UNKNOWN',
    `topic ${topic.name} has ${topic.partitions} partitions, from 0 on: there is no partition ${partition}`,
  )
}

/** @throws {SituError} CONFIGURATION_INVALID */
export function checkTopicSpec({ name, partitions }: TopicSpec): void {
  if (name !== '' && Number.isInteger(partitions) && partitions >= 1) return
  throw new SituError(
    'CONFIGURATION_INVALID',
    `topic ${JSON.stringify(name)}: a topic has a name and at least 1 partition, got ${partitions}`,
  )
}

export function unknownTopic(name: string): SituError {
  return new SituError('TOPIC_UNKNOWN', `there is no topic ${shown(name)}`)
}

/** @throws {SituError} OPERATOR_BUG */
export function checkCompacted({ name, compacted }: TopicSpec): void {
  if (!compacted)
    throw new SituError('OPERATOR_BUG', `topic ${name} is not compacted: it has no newest message of a key`)
}

export function closedError(transport: string): SituError {
  return new SituError('TRANSPORT_CLOSED', `the ${transport} transport is closed`)
}

function shown(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`
}
