import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { Counters } from '../../schemas/records.ts'
import { CallRefused } from '../spending/caller.ts'
import type { ChangeSignal } from '../transports/change-signal.ts'
import type { Claim, Message, OutgoingMessage, Transport } from '../transports/transport.ts'
import { since, type TaskActivity } from './activity.ts'
import { Committer } from './committer.ts'
import type { Asked, Intake } from './intake.ts'
import type { Outcome } from './outcome.ts'
import type { Completed } from './outcome-queue.ts'
import type { Position } from './position.ts'
import { RecordWorker, type RecordWorkerPorts } from './record-worker.ts'
import { Suspects } from './suspects.ts'
import type { TaskState } from './task-state.ts'

export interface TaskWorkerPorts extends Omit<RecordWorkerPorts, 'index' | 'maxMessageBytes'> {
  transport: Transport
  claim: Claim
  ordered: boolean
  intake: Intake
  /** Aborts the work of the open records, which then stay uncommitted. */
  signal: AbortSignal
  /** Raised where a record is no longer open, and at a commit. */
  changed: ChangeSignal
  /** What ends the task. */
  onError: (error: unknown) => void
}

/** Works the records of a task whose position and state are read back, and commits what becomes of them. */
export class TaskWorker {
  readonly positions: readonly Position[]
  readonly #ports: TaskWorkerPorts
  readonly #index: StatefulIndex | null
  readonly #committer: Committer
  readonly #worker: RecordWorker
  readonly #suspects: Suspects
  readonly #open = new Map<number, { since: number; offset: number }>()
  #started = 0
  readonly #before: Counters
  #lastCommit: number | null = null
  #uncommittedSince: number | null = null
  #commits = 0
  #hasFailed = false

  constructor(ports: TaskWorkerPorts, state: TaskState) {
    const { stage, configuration } = ports.binding
    const { maxMessageBytes } = ports.transport.limits
    this.#ports = ports
    this.positions = state.positions
    this.#index = state.index
    this.#suspects = new Suspects(stage.name)
    this.#committer = new Committer({
      ...ports,
      ...state,
      variant: stage.variant,
      configuration,
      onCommit: chunk => this.#committed(chunk),
    })
    this.#before = this.#committer.counters
    this.#worker = new RecordWorker({ ...ports, index: state.index, maxMessageBytes })
  }

  /** Committed and open counts, as of now. */
  get counters(): Counters {
    return this.#committer.counters
  }

  /** Inputs that are being worked. */
  get open(): number {
    return this.#open.size
  }

  /** Whether nothing is being worked, and everything that was is committed. */
  get isIdle(): boolean {
    return this.#open.size === 0 && this.#committer.isIdle
  }

  /** Offset and age of the record that has been open the longest. */
  get oldest(): { offset: number; ageMs: number } | null {
    const first = this.#open.values().next().value
    return first ? { offset: first.offset, ageMs: this.#ports.clock.now() - first.since } : null
  }

  get activity() {
    return {
      worked: since(this.#before, this.counters),
      open: this.#open.size,
      oldestMs: this.oldest?.ageMs ?? 0,
      commits: this.#commits,
      lastCommit: this.#lastCommit,
      uncommittedSince: this.#uncommittedSince,
      openings: this.#committer.openings,
    } satisfies Partial<TaskActivity>
  }

  /** Writes down what its model calls wait for. */
  tellWaiting(waiting: string | null): void {
    this.#committer.tellWaiting(waiting)
  }

  /**
   * Writes down how far it has read where it is idle, and nothing was committed for so long.
   *
   * @returns Whether that stands there already.
   */
  keepUp(quietMs: number): boolean {
    const isQuiet = this.isIdle && this.#ports.clock.now() - (this.#lastCommit ?? 0) >= quietMs
    return isQuiet && this.#committer.keepUp()
  }

  /** Writes down that the task is taken over. */
  async begin(): Promise<void> {
    await this.#committer.begin()
  }

  /** The input is another task's: it is counted there. */
  async forward(
    position: Position,
    offset: number,
    { request }: Asked,
    messages: readonly OutgoingMessage[],
  ): Promise<void> {
    if (this.#committer.isFull) await this.#committer.flush()
    position.take(offset)
    if (!request) this.#committer.take(position, offset, true)
    this.#uncommittedSince ??= this.#ports.clock.now()
    const result = { kind: 'forwarded' } as const
    this.#committer.add({ result, messages: [...messages], spent: null, position, offset, request })
  }

  /** Works an input and gives its outcome to the commit. Never rejects: see `onError`. */
  async work(position: Position, offset: number, { input, request }: Asked): Promise<void> {
    const { clock, intake, signal, changed, onError } = this.#ports
    const { turn } = this.#committer
    const number = this.#started++
    position.take(offset)
    if (!request) this.#committer.take(position, offset)
    this.#open.set(number, { since: clock.now(), offset })
    if (turn && this.#committer.isFull) await this.#committer.flush()
    await turn?.acquire()
    const begun = clock.now()
    try {
      const outcome = await this.#apply(input)
      if (request && outcome.result.kind !== 'failed') outcome.messages.push(request.tombstone)
      this.#complete({ ...outcome, position, offset, request }, clock.now() - begun)
    } catch (error) {
      intake.end(request)
      if (!(error instanceof CallRefused) && !signal.aborted) onError(error)
    } finally {
      turn?.release()
      this.#open.delete(number)
      changed.raise()
    }
  }

  /** The outcome of one input, with the entries of the index that belong to it. */
  async #apply(message: Message): Promise<Outcome> {
    const index = this.#index
    const before = index?.pendingSize ?? 0
    const outcome = await this.#worker.work(message, this.#ports.signal)
    const { state } = this.#ports.binding.stage
    if (!index || !state) return outcome
    // A text whose record could not be written must not count as kept.
    if (outcome.result.kind === 'failed') index.rollback(before)
    for (const entry of index.pending(before)) {
      const { value } = this.#ports.serde.encode('signature', entry)
      outcome.messages.push({ topic: state, partition: this.#ports.claim.task.partition, key: entry.id, value })
    }
    return outcome
  }

  /** Suspects that come after the task has failed stay uncommitted. */
  #complete(completed: Completed, workedMs: number): void {
    const { result } = completed
    if (this.#hasFailed && result.kind === 'failed' && result.code === 'OPERATOR_BUG') return
    if (this.#suspects.hold(completed)) return
    this.releaseSuspects()
    this.#uncommittedSince ??= this.#ports.clock.now()
    this.#committer.add(completed, workedMs)
  }

  #committed(chunk: readonly Completed[]): void {
    for (const { request } of chunk) this.#ports.intake.end(request)
    const now = this.#ports.clock.now()
    this.#commits++
    this.#lastCommit = now
    const waiting = this.counters.inFlight - this.#open.size - this.#suspects.count
    this.#uncommittedSince = waiting > 0 ? now : null
    this.#ports.changed.raise()
  }

  /** Gives failures that waited for a record to work to the commit. */
  releaseSuspects(): void {
    for (const suspect of this.#suspects.release()) this.#committer.add(suspect)
  }

  /** The task has failed: suspects stay uncommitted. @param mayCommit - Whether what is complete is still written. */
  fail(mayCommit: boolean): void {
    this.#hasFailed = true
    if (!mayCommit) this.#committer.stop()
    this.#suspects.release()
  }

  /** Waits for the open records and commits what became of them; nothing is committed afterwards. */
  async finish(): Promise<void> {
    const { changed } = this.#ports
    while (this.#open.size > 0) await changed.wait(changed.count)
    this.releaseSuspects()
    this.tellWaiting(null)
    await this.#committer.flush()
    this.#committer.stop()
  }
}
