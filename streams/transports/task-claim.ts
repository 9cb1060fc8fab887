import { SituError } from '../../schemas/errors.ts'
import type { Batch, Claim, OutgoingMessage, ReadOptions, TaskPosition, TaskSpec } from './transport.ts'

/** What a claim needs of a backend that keeps leases and epochs by itself. */
export interface LeaseStore {
  read(topic: string, partition: number, from: number, options: ReadOptions): AsyncIterable<Batch>
  /** Writes all or nothing; `guard` runs first within the step, and what it throws undoes it. */
  write(
    messages: readonly OutgoingMessage[],
    finish: (alreadyThere: number) => OutgoingMessage,
    guard: () => void,
  ): Promise<number>
  /** The newest epoch of a task. */
  epochOf(task: string): number
}

/** A lease that this process holds. */
export interface Lease {
  readonly epoch: number
  free(): void
}

/** The claim of backends with a lease: fenced by the epoch, which each commit compares within its own step. */
export class TaskClaim implements Claim {
  readonly task: TaskSpec
  readonly epoch: number
  readonly #store: LeaseStore
  readonly #lease: Lease
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()

  constructor(task: TaskSpec, lease: Lease, store: LeaseStore) {
    this.task = task
    this.epoch = lease.epoch
    this.#lease = lease
    this.#store = store
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Lost or released. */
  get ended(): boolean {
    return this.#ended.signal.aborted
  }

  read(topic: string, from: number, options: Omit<ReadOptions, 'follow'>): AsyncIterable<Batch> {
    if (!this.task.topics.includes(topic)) {
      throw new SituError('OPERATOR_BUG', `task ${this.task.id} does not read topic ${topic}`)
    }
    const signal = options.signal ? AbortSignal.any([options.signal, this.#ended.signal]) : this.#ended.signal
    return this.#store.read(topic, this.task.partition, from, { ...options, signal, follow: true })
  }

  async commit(
    messages: readonly OutgoingMessage[],
    finish: (alreadyThere: number) => OutgoingMessage,
    _positions: readonly TaskPosition[],
  ): Promise<void> {
    await this.#store.write(messages, finish, () => {
      this.checkEpoch()
      if (this.ended) throw new SituError('TASK_LOST', `task ${this.task.id} was given up: nothing is written`)
    })
  }

  /** @throws {SituError} TASK_LOST, after which the claim has ended. */
  checkEpoch(): void {
    const epoch = this.#store.epochOf(this.task.id)
    if (epoch === this.epoch) return
    this.#lost.abort()
    this.#end()
    throw new SituError(
      'TASK_LOST',
      `task ${this.task.id}: another worker has taken it over, epoch ${epoch} follows our ${this.epoch}`,
    )
  }

  async release(): Promise<void> {
    this.#end()
  }

  #end(): void {
    if (this.ended) return
    this.#ended.abort()
    this.#lease.free()
  }
}
