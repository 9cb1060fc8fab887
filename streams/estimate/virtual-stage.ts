import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'
import type { Logger } from '../log.ts'
import type { Pipeline } from '../pipeline.ts'
import type { OpenSearches } from '../searches/open-searches.ts'
import type { Caller } from '../spending/caller.ts'
import type { RetryPolicy } from '../task/call-retries.ts'
import { RecordWorker } from '../task/record-worker.ts'
import { Slots } from '../task/slots.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { Result } from '../task/task-record.ts'
import type { Message, OutgoingMessage } from '../transports/transport.ts'

export interface VirtualStagePorts {
  pipeline: Pipeline
  log: Logger
  tokenizer: Tokenizer
  retry: RetryPolicy
  searches: OpenSearches
  /** Whether stages with state know what they have kept; without it, repeats of earlier records are not seen. */
  restoresState: boolean
}

/** Works records as a run would, and commits nothing: the same ids, the same requests, the same drops. */
export class VirtualStage {
  readonly binding: StageBinding
  readonly #rank: number
  readonly #ports: VirtualStagePorts
  /** Of each partition; made at its first record. */
  readonly #indexes = new Map<number, Promise<StatefulIndex>>()
  readonly #turn = new Slots(1)

  constructor(binding: StageBinding, rank: number, ports: VirtualStagePorts) {
    this.binding = binding
    this.#rank = rank
    this.#ports = ports
  }

  /**
   * @param partition - Of the task whose input it is.
   * @returns What became of the input, and the outputs as the next stage would read them.
   * @throws {SituError} As `RecordWorker.work`.
   */
  async work(
    input: Message,
    partition: number,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<{ result: Result; outputs: Message[] }> {
    const { stage } = this.binding
    if (!stage.operator.createIndex) return this.#apply(input, null, caller, signal)
    await this.#turn.acquire()
    try {
      return await this.#apply(input, await this.#indexOf(partition), caller, signal)
    } finally {
      this.#turn.release()
    }
  }

  async #apply(input: Message, index: StatefulIndex | null, caller: Caller, signal: AbortSignal) {
    const { pipeline, restoresState: _, searches, ...ports } = this.#ports
    const { serde, clock, partitions, transport } = pipeline
    const { maxMessageBytes } = transport.limits
    const own = {
      binding: this.binding,
      rank: this.#rank,
      caller,
      index,
      search: searches.of(this.binding),
      draining: signal,
    }
    const worker = new RecordWorker({ ...ports, ...own, serde, clock, partitions, maxMessageBytes })
    const before = index?.pendingSize ?? 0
    const { result, messages } = await worker.work(input, signal)
    if (result.kind === 'failed') index?.rollback(before)
    index?.confirm()
    const outputs = messages.filter(({ topic }) => result.kind === 'done' && topic === this.binding.stage.output)
    return { result, outputs: outputs.map(message => asRead(message, clock.now())) }
  }

  #indexOf(partition: number): Promise<StatefulIndex> {
    const known = this.#indexes.get(partition)
    if (known) return known
    const made = this.#restore(partition)
    this.#indexes.set(partition, made)
    return made
  }

  async #restore(partition: number): Promise<StatefulIndex> {
    const { stage } = this.binding
    const { transport, serde } = this.#ports.pipeline
    const index = this.binding.createIndex()
    if (!index) throw new Error(`${stage.name} has no index`)
    if (!this.#ports.restoresState || stage.state === null || !(await isThere(transport, stage.state))) return index
    for await (const { value } of transport.compacted(stage.state, partition)) {
      const entry = await serde.decodeOwn('signature', value)
      if (entry) index.restore(entry)
    }
    return index
  }
}

/** The topics of a variant that is not made yet are not there. */
async function isThere(transport: Pipeline['transport'], topic: string): Promise<boolean> {
  return (await transport.topics()).some(({ name }) => name === topic)
}

function asRead({ topic, partition, key, value, parent = null }: OutgoingMessage, timestamp: number): Message {
  // It has no offset yet; no id and no prompt depends on it.
  return { topic, partition, offset: 0, timestamp, key, value, parent }
}
