import type { Serde } from '../../schemas/serde.ts'
import { routedTopic, type Stage } from '../chain/topology.ts'
import type { Message, OutgoingMessage, Transport } from '../transports/transport.ts'
import { type RetryRequest, RetryRequests } from './retry-requests.ts'
import { Routing } from './routing.ts'

/** What a message of one of a task's topics asks for. */
export interface Asked {
  /** As it lies in the stage's input topic. */
  input: Message
  /** Not null for a dead letter's input that is put back to work. */
  request: RetryRequest | null
  /** Not null where there is nothing to work here: what is to be written for the task that the input belongs to. */
  forward: readonly OutgoingMessage[] | null
}

export interface IntakePorts {
  stage: Stage
  partition: number
  partitions: number
  transport: Transport
  serde: Serde
}

/** Reads what the messages of a task's topics ask for: inputs, those sent on by other tasks, and retries. */
export class Intake {
  readonly #retries: RetryRequests
  readonly #routing: Routing | null

  constructor({ stage, partition, partitions, transport, serde }: IntakePorts) {
    this.#retries = new RetryRequests(stage, transport, serde)
    const [topic] = routedTopic(stage, partitions)
    const { maxMessageBytes } = transport.limits
    this.#routing = topic ? new Routing(topic, stage, partition, { serde, partitions, maxMessageBytes }) : null
  }

  /** @returns Null for a request that asks for nothing; no promise where nothing has to be waited for. */
  read(message: Message): Asked | null | Promise<Asked | null> {
    if (message.topic === 'retry') return this.#readRetry(message)
    if (!this.#routing) return { input: message, request: null, forward: null }
    return this.#readRouted(message, this.#routing)
  }

  async #readRouted(message: Message, routing: Routing): Promise<Asked> {
    if (!routing.isOver(message.topic)) {
      return { input: message, request: null, forward: await routing.forward(message) }
    }
    const input = await routing.open(message)
    return { input: input ?? message, request: null, forward: input ? null : [] }
  }

  async #readRetry(message: Message): Promise<Asked | null> {
    const request = await this.#retries.read(message)
    if (!request) return null
    const forward = this.#routing && (await this.#routing.forwardRetry(message, request))
    return { input: request.input, request, forward }
  }

  /** The new outcome is committed, or there will be none. */
  end(request: RetryRequest | null): void {
    this.#retries.end(request)
  }
}
