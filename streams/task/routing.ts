import { isOfRecord } from '../../schemas/errors.ts'
import type { Serde } from '../../schemas/serde.ts'
import { partitionOf, type Stage } from '../chain/topology.ts'
import { identify } from '../identity.ts'
import type { Message, OutgoingMessage } from '../transports/transport.ts'
import type { RetryRequest } from './retry-requests.ts'

export interface RoutingPorts {
  serde: Serde
  /** Partitions of the topics. */
  partitions: number
  /** Largest key + value of one message. */
  maxMessageBytes: number
}

/**
 * Sends the inputs of a stage that others wrote to any partition on to the task that their content belongs to, so that
 * equal ones meet. What Situ itself wrote lies where it belongs already and is not looked at.
 */
export class Routing {
  readonly #topic: string
  readonly #stage: Stage
  readonly #partition: number
  readonly #ports: RoutingPorts

  constructor(topic: string, stage: Stage, partition: number, ports: RoutingPorts) {
    this.#topic = topic
    this.#stage = stage
    this.#partition = partition
    this.#ports = ports
  }

  /** Whether the topic is the one over which inputs are sent. */
  isOver(topic: string): boolean {
    return topic === this.#topic
  }

  /** The input, to be written to its task; null where it is this task's. */
  async forward({ topic, partition, offset, value, parent }: Message): Promise<[OutgoingMessage] | null> {
    if (parent !== null || value === null) return null
    const home = await this.#homeOf(value)
    if (!home) return null
    const place = { id: null, topic, partition, offset }
    const routed = this.#ports.serde.encode('routed', { id: home.id, place, value: Buffer.from(value) })
    // What is too large as an input that is sent on is too large as an output too, and so are its equals: no matter
    // where they fail.
    if (routed.value.length + home.id.length > this.#ports.maxMessageBytes) return null
    return [{ topic: this.#topic, partition: home.partition, key: home.id, value: routed.value, parent: home.id }]
  }

  /** The request, to be written to the task of its input; null where it is this task's. */
  async forwardRetry(message: Message, { deadLetter, input }: RetryRequest): Promise<[OutgoingMessage] | null> {
    const home = input.value && (await this.#homeOf(input.value))
    if (!home) return null
    const { topic, value } = message
    return [{ topic, partition: home.partition, key: deadLetter, value, parent: deadLetter }]
  }

  /** The input that a message of the topic holds, as if it were read from its own place; null where it holds none. */
  async open(message: Message): Promise<Message | null> {
    try {
      const { id, place, value } = await this.#ports.serde.decode('routed', message.value)
      const { topic, partition, offset } = place
      return { ...message, key: id, topic, partition, offset, value }
    } catch (error) {
      // Nobody but this stage writes here. What only can't be read now must not be passed over.
      if (isOfRecord(error)) return null
      throw error
    }
  }

  /** Another task's partition, and the id; null for an input of this task, and for one that can't be read. */
  async #homeOf(value: Uint8Array): Promise<{ partition: number; id: string } | null> {
    const { from } = this.#stage.operator
    try {
      const record = identify(from, await this.#ports.serde.decode(from, value))
      const partition = partitionOf(from, record, this.#ports.partitions)
      return partition === this.#partition ? null : { partition, id: record.id }
    } catch (error) {
      // The worker reads it again, and says why it can't.
      if (isOfRecord(error)) return null
      throw error
    }
  }
}
