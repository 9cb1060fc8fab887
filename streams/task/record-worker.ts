import { Drop } from '../../operators/operator.ts'
import type { Noun, Place } from '../../schemas/records.ts'
import { nounOfTopic } from '../chain/topology.ts'
import { identify } from '../identity.ts'
import { CallRefused } from '../spending/caller.ts'
import type { Message } from '../transports/transport.ts'
import { type Outcome, type OutcomePorts, OutcomeWriter } from './outcome.ts'
import { RecordLimit } from './record-limit.ts'
import { type SamplePorts, Samples } from './samples.ts'

export interface RecordWorkerPorts extends SamplePorts, OutcomePorts {}

/** Works one record of a stage: decodes it, applies the operator with retries, encodes what comes out. */
export class RecordWorker {
  readonly #ports: RecordWorkerPorts
  readonly #noun: Noun

  constructor(ports: RecordWorkerPorts) {
    this.#ports = ports
    this.#noun = nounOfTopic(ports.binding.stage.input)
  }

  /**
   * @param signal - Aborts the work; the record then stays uncommitted.
   * @throws {SituError} An error that ends the task or the run.
   * @throws {CallRefused} A drain has begun.
   */
  async work(message: Message, signal: AbortSignal): Promise<Outcome> {
    const { stage } = this.#ports.binding
    const place: Place = { id: null, topic: message.topic, partition: message.partition, offset: message.offset }
    const limit = new RecordLimit(this.#ports.retry.recordTimeoutMs, this.#ports.clock, signal)
    const samples = new Samples(this.#ports, place, limit)
    const outcome = new OutcomeWriter(this.#ports, place, samples)
    try {
      const record = identify(this.#noun, await this.#ports.serde.decode(this.#noun, message.value))
      place.id = record.id
      const applied = await samples.apply(record)
      return applied instanceof Drop ? outcome.dropped(applied) : outcome.done(applied)
    } catch (error) {
      if (signal.aborted || error instanceof CallRefused) throw error
      const failure = limit.asFailure(error, stage.name)
      if (failure.stops !== 'record') throw failure
      return await outcome.failed(failure, message.value)
    } finally {
      limit.end()
    }
  }
}
