import { SituError } from '../../../schemas/errors.ts'
import type { Batch, Claim, Message, OutgoingMessage, ReadOptions, TaskPosition, TaskSpec } from '../transport.ts'
import { isFenced, isPassing, rootOf, toSituError } from './broker-error.ts'
import type { LogReader } from './log-reader.ts'
import type { KafkaMetrics } from './metrics.ts'
import { brokerNames, type Settings } from './options.ts'
import { OutcomeUnknown, type TransactionWriter } from './transaction.ts'

export interface ClaimPorts {
  writer: TransactionWriter
  reader: LogReader
  settings: Settings
  metrics: KafkaMetrics
  get: (topic: string, key: string) => Promise<Message | null>
  /** @throws {SituError} RECORD_TOO_LARGE, TOPIC_UNKNOWN */
  check: (messages: readonly OutgoingMessage[]) => Promise<void>
  /** Resolves when the group has said, after this call, that the task is still ours; or when it is aborted. */
  confirm: (signal: AbortSignal) => Promise<void>
  /** Called once, when the claim is lost or released. */
  onEnd: (claim: KafkaClaim) => void
}

/**
 * A claim whose fence is the transactional id of its task. A commit whose outcome is open is looked up in the task
 * record, and made again only where that is as it was.
 */
export class KafkaClaim implements Claim {
  readonly task: TaskSpec
  readonly epoch: number
  readonly #ports: ClaimPorts
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  #turn: Promise<void> = Promise.resolve()
  /** Value of the task record before the next commit; undefined until the first. */
  #before: Uint8Array | null | undefined

  constructor(task: TaskSpec, epoch: number, ports: ClaimPorts) {
    this.task = task
    this.epoch = epoch
    this.#ports = ports
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
    const ended = this.#ended.signal
    const signal = options.signal ? AbortSignal.any([options.signal, ended]) : ended
    return this.#ports.reader.read(topic, this.task.partition, from, { ...options, signal, follow: true, strict: true })
  }

  commit(
    messages: readonly OutgoingMessage[],
    finish: (alreadyThere: number) => OutgoingMessage,
    positions: readonly TaskPosition[],
  ): Promise<void> {
    const commit = this.#turn.then(() => this.#commit(messages, finish, positions))
    this.#turn = commit.catch(() => {})
    return commit
  }

  async release(): Promise<void> {
    this.#end()
    await this.#turn
  }

  /** The task is somebody else's now. */
  lose(): void {
    if (this.ended) return
    this.#ports.metrics.tasksLost++
    this.#lost.abort()
    this.#end()
  }

  async #commit(
    messages: readonly OutgoingMessage[],
    finish: (alreadyThere: number) => OutgoingMessage,
    positions: readonly TaskPosition[],
  ): Promise<void> {
    this.#checkHeld()
    const { writer, metrics, check } = this.#ports
    const record = finish(0)
    const all = [...messages, record]
    await check(all)
    const before = this.#before === undefined ? await this.#stored(record) : this.#before
    const { id, partition } = this.task
    const group = brokerNames.lag(this.#ports.settings.prefix, id)
    const lag = positions.length === 0 ? null : { group, partition, positions }
    let isWritten = writer.isReady ? false : await this.#recover(record, before)
    while (!isWritten) {
      this.#checkHeld()
      try {
        await writer.write(all, lag)
        isWritten = true
      } catch (error) {
        await this.#judge(error)
        metrics.commitRetries++
        isWritten = await this.#recover(record, before)
      }
    }
    this.#before = record.value && Uint8Array.from(record.value)
    metrics.commits++
    metrics.lastCommit = Date.now()
  }

  /** Returns where the commit may be tried again. */
  async #judge(error: unknown): Promise<void> {
    const { writer, settings } = this.#ports
    if (isFenced(error)) throw this.#lostError(error)
    if (!(error instanceof OutcomeUnknown) && !isPassing(error)) {
      await writer.abort()
      throw toSituError(error, `task ${this.task.id}`)
    }
    const { message } = rootOf(error)
    settings.log.warn({ task: this.task.id, error: message }, `${this.task.id}: a commit failed; trying again`)
  }

  /**
   * Ends the transaction that failed, after the group has confirmed that the task is still ours: fencing by one who has
   * lost it would put its new owner out.
   *
   * @returns Whether the transaction had been committed.
   * @throws {SituError} TASK_LOST
   */
  async #recover(record: OutgoingMessage, before: Uint8Array | null): Promise<boolean> {
    const { writer, confirm } = this.#ports
    const { signal } = this.#ended
    await confirm(signal)
    this.#checkHeld()
    await writer.fence(signal)
    const now = await this.#stored(record)
    if (isSame(now, record.value)) return true
    if (isSame(now, before)) return false
    throw this.#lostError(null)
  }

  async #stored({ topic, key }: OutgoingMessage): Promise<Uint8Array | null> {
    return (await this.#ports.get(topic, key))?.value ?? null
  }

  #checkHeld(): void {
    if (this.lost.aborted) throw this.#lostError(null)
    if (this.ended) throw new SituError('TASK_LOST', `task ${this.task.id} was given up: nothing is written`)
  }

  #lostError(cause: unknown): SituError {
    this.lose()
    return new SituError('TASK_LOST', `task ${this.task.id}: another worker has taken it over`, cause ? { cause } : {})
  }

  #end(): void {
    if (this.ended) return
    this.#ended.abort()
    this.#ports.onEnd(this)
  }
}

function isSame(left: Uint8Array | null, right: Uint8Array | null): boolean {
  return left === null || right === null ? left === right : Buffer.compare(left, right) === 0
}
