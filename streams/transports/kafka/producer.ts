import type { OutgoingMessage } from '../transport.ts'
import { isFenced, isPassing, rootOf, toSituError } from './broker-error.ts'
import type { LogReader } from './log-reader.ts'
import { type Settings, wait } from './options.ts'
import { OutcomeUnknown, type TransactionWriter } from './transaction.ts'

const pauseMs = 100

/** Writes outside any task: all or nothing, one transaction after the other, under a transactional id of its own. */
export class Producer {
  readonly #writer: TransactionWriter
  readonly #reader: LogReader
  readonly #settings: Settings
  #turn: Promise<void> = Promise.resolve()

  constructor(writer: TransactionWriter, reader: LogReader, settings: Settings) {
    this.#writer = writer
    this.#reader = reader
    this.#settings = settings
  }

  write(messages: readonly OutgoingMessage[]): Promise<void> {
    const write = this.#turn.then(() => this.#write(messages))
    this.#turn = write.catch(() => {})
    return write
  }

  async #write(messages: readonly OutgoingMessage[]): Promise<void> {
    const deadline = Date.now() + this.#settings.outageMs
    for (;;) {
      try {
        if (!this.#writer.isReady) await this.#writer.fence()
        return await this.#writer.write(messages, null)
      } catch (error) {
        // Fenced by a broker that has ended a transaction after its time: nobody else has this id.
        const mayPass = error instanceof OutcomeUnknown || isFenced(error) || isPassing(error)
        if (!mayPass || Date.now() > deadline) {
          await this.#writer.abort()
          throw toSituError(error, 'writing')
        }
        this.#settings.log.warn({ error: rootOf(error).message }, 'writing failed; trying again')
        if (error instanceof OutcomeUnknown && (await this.#isWritten(messages, error))) return
        await wait(pauseMs)
      }
    }
  }

  /** After a fence the outcome is final: what was aborted is not seen. */
  async #isWritten(messages: readonly OutgoingMessage[], { place }: OutcomeUnknown): Promise<boolean> {
    await this.#writer.fence()
    if (!place) return false
    const found = await this.#reader.at(place.topic, place.partition, place.offset)
    return found !== null && messages.some(({ topic, key }) => topic === place.topic && key === found.key)
  }
}
