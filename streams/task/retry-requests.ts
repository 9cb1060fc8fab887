import { isOfRecord } from '../../schemas/errors.ts'
import type { Place, Retry } from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import type { Stage } from '../chain/topology.ts'
import type { Message, OutgoingMessage, Transport } from '../transports/transport.ts'

/** A dead letter whose input is to be worked again. */
export interface RetryRequest {
  deadLetter: string
  /** The code that it has. */
  code: string
  input: Message
  /** Deletes the dead letter. */
  tombstone: OutgoingMessage
}

/** Reads what the topic `retry` asks of one stage. */
export class RetryRequests {
  readonly #stage: Stage
  readonly #transport: Transport
  readonly #serde: Serde
  /** Dead letters under work: asking for one twice is asking once. */
  readonly #open = new Set<string>()

  constructor(stage: Stage, transport: Transport, serde: Serde) {
    this.#stage = stage
    this.#transport = transport
    this.#serde = serde
  }

  /** What the message asks for; null where it is not for this stage, under work, or dead letter or input are gone. */
  async read(message: Message): Promise<RetryRequest | null> {
    const retry = await this.#decode(message)
    const isOurs = retry?.operator === this.#stage.name && retry.variant === this.#stage.variant
    if (!isOurs || this.#open.has(retry.id)) return null
    this.#open.add(retry.id)
    const letter = await this.#transport.get('failed', retry.id)
    if (!letter) {
      this.#open.delete(retry.id)
      return null
    }
    const { code } = await this.#serde.decode('failed', letter.value)
    const { topic, partition, offset } = retry.place
    const value = retry.value ?? (await this.#valueAt(retry.place))
    if (!value) {
      this.#open.delete(retry.id)
      return null
    }
    const tombstone = { topic: 'failed', partition: letter.partition, key: retry.id, value: null }
    return { deadLetter: retry.id, code, input: { ...message, topic, partition, offset, value }, tombstone }
  }

  /** The new outcome is committed, or there will be none. Not before: till then the dead letter stands in the log. */
  end(request: RetryRequest | null): void {
    if (request) this.#open.delete(request.deadLetter)
  }

  /** What is no request in this topic asks for nothing. */
  async #decode({ value }: Message): Promise<Retry | null> {
    try {
      return await this.#serde.decode('retry', value)
    } catch (error) {
      if (isOfRecord(error)) return null
      throw error
    }
  }

  async #valueAt({ topic, partition, offset }: Place): Promise<Uint8Array | null> {
    for await (const { messages } of this.#transport.read(topic, partition, offset, { maxMessages: 1 })) {
      const [message] = messages
      return message?.offset === offset ? message.value : null
    }
    return null
  }
}
