import { SituError } from '../../schemas/errors.ts'
import type { Counters } from '../../schemas/records.ts'
import type { Stage } from '../chain/topology.ts'
import { CallRefused } from '../spending/caller.ts'
import { ChangeSignal } from '../transports/change-signal.ts'
import type { TaskActivity } from './activity.ts'
import { InputReader, type InputReaderPorts } from './input-reader.ts'
import { Intake } from './intake.ts'
import type { StageBinding } from './stage-binding.ts'
import { emptyCounters } from './task-record.ts'
import { readState, type StatePorts } from './task-state.ts'
import { TaskWorker, type TaskWorkerPorts } from './task-worker.ts'

export interface TaskLoopPorts
  extends StatePorts,
    Pick<InputReaderPorts, 'concurrency' | 'ready' | 'admit'>,
    Omit<TaskWorkerPorts, 'intake' | 'draining' | 'signal' | 'changed' | 'onError'> {
  /** Throws where the stage is not what it was when the run began; asked at each take-over. */
  confirm?: ((stage: Stage) => Promise<void>) | undefined
}

/** What a task has done whose position and state are not read back yet. */
const nothingDone = { open: 0, oldestMs: 0, commits: 0, lastCommit: null, uncommittedSince: null, openings: null }

/** An idle task writes down how far it has read when nothing has come for so long. */
const quietMs = 1000

/** Works one task: reads, works up to `concurrency` records at once, and commits what is complete, out of order. */
export class TaskLoop {
  readonly #ports: TaskLoopPorts
  readonly #reading = new AbortController()
  readonly #working = new AbortController()
  readonly #changed = new ChangeSignal()
  readonly #intake: Intake
  readonly #reader: InputReader
  /** Null until position and state are read back. */
  #worker: TaskWorker | null = null
  #running: Promise<void> = Promise.resolve()
  #error: unknown = null
  readonly #takenAt: number

  constructor(ports: TaskLoopPorts) {
    const { stage } = ports.binding
    this.#ports = ports
    this.#takenAt = ports.clock.now()
    this.#intake = new Intake({ ...ports, stage, partition: ports.claim.task.partition })
    const { signal } = this.#reading
    this.#reader = new InputReader({ ...ports, stage, intake: this.#intake, signal, changed: this.#changed })
  }

  get id(): string {
    return this.#ports.claim.task.id
  }

  get binding(): StageBinding {
    return this.#ports.binding
  }

  /** Committed and open counts, as of now. */
  get counters(): Counters {
    return this.#worker?.counters ?? emptyCounters()
  }

  /** What ended the task; null while nothing has. */
  get error(): unknown {
    return this.#error
  }

  /** Offset and age of the record that has been open the longest. */
  get oldest(): { offset: number; ageMs: number } | null {
    return this.#worker?.oldest ?? null
  }

  /** What this process has done of the task, for metrics and health. */
  get activity(): TaskActivity {
    const { name, variant } = this.binding.stage
    return {
      id: this.id,
      stage: name,
      variant,
      isRestored: this.#worker !== null,
      isHeld: this.#reader.isHeld,
      takenAt: this.#takenAt,
      lastFetch: this.#reader.lastFetch,
      ...(this.#worker?.activity ?? { ...nothingDone, worked: emptyCounters() }),
    }
  }

  /** To be called now and then: writes down how far an idle task has read. */
  keepUp(): void {
    this.#worker?.keepUp(quietMs)
  }

  /** Writes down what its model calls wait for. */
  tellWaiting(waiting: string | null): void {
    this.#worker?.tellWaiting(waiting)
  }

  /** Every offset of the topic below it is committed; infinite where no further input of the topic is taken. */
  workedTo(topic: string): number {
    if (this.#reader.isPastLimit(topic)) return Number.POSITIVE_INFINITY
    return this.#worker?.positions.find(position => position.topic === topic)?.settledTo ?? 0
  }

  /** Messages that wait to be taken; 0 beyond a limit, and until the position is read back. */
  async lag(): Promise<number> {
    let lag = 0
    for (const { topic, readTo } of this.#worker?.positions ?? []) {
      if (this.#reader.isPastLimit(topic)) continue
      lag += Math.max(0, (await this.#endOf(topic)) - readTo)
    }
    return lag
  }

  /** Whether everything that is there has been worked and committed. */
  async isIdle(): Promise<boolean> {
    const worker = this.#worker
    if (!worker || worker.open > 0) return false
    worker.releaseSuspects()
    if (!worker.isIdle || (await this.lag()) > 0) return false
    return worker.isIdle && worker.keepUp(0)
  }

  async #endOf(topic: string): Promise<number> {
    return (await this.#ports.transport.bounds(topic, this.#ports.claim.task.partition)).end
  }

  /** Works until `drain`, or until an error that ends the task (see `error`). */
  start(): void {
    const { claim, log } = this.#ports
    const lost = () => {
      log.warn({ task: this.id, open: this.#open, uncommitted: this.counters.inFlight }, 'task lost')
      this.#fail(new SituError('TASK_LOST', `${this.id}: another worker has taken it over`))
    }
    claim.lost.addEventListener('abort', lost, { once: true })
    if (claim.lost.aborted) lost()
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    try {
      const worker = await this.#restore()
      this.#worker = worker
      this.#ports.log.debug({ task: this.id, ms: this.#ports.clock.now() - this.#takenAt }, 'task restored')
      await worker.begin()
      await Promise.all(worker.positions.map(position => this.#reader.read(position, worker)))
    } catch (error) {
      this.#fail(error)
    }
  }

  async #restore(): Promise<TaskWorker> {
    await this.#ports.confirm?.(this.binding.stage)
    const state = await readState(this.#ports)
    return new TaskWorker(
      {
        ...this.#ports,
        intake: this.#intake,
        draining: this.#reading.signal,
        signal: this.#working.signal,
        changed: this.#changed,
        onError: error => this.#fail(error),
      },
      state,
    )
  }

  /** Inputs that are being worked. */
  get #open(): number {
    return this.#worker?.open ?? 0
  }

  /** Begins nothing more: no record is taken, and no call is made. What is open may end. */
  stopBeginning(): void {
    this.#reading.abort()
    this.#changed.raise()
  }

  /** Takes no further record, finishes what is open within the time, commits it and gives the task back. */
  async drain(deadlineMs: number): Promise<void> {
    const { clock, claim } = this.#ports
    this.stopBeginning()
    const deadline = clock.now() + deadlineMs
    while (this.#open > 0 && clock.now() < deadline && !this.#error) {
      await Promise.race([this.#changed.wait(this.#changed.count), clock.sleep(50)])
    }
    this.#working.abort(new CallRefused())
    // Not before: reading waits for a slot as long as the open records do.
    await this.#running
    await this.#worker?.finish()
    await claim.release()
  }

  #fail(error: unknown): void {
    this.#error ??= error
    // After a known error what is complete is still good; a lost task or a failed commit writes nothing more.
    this.#worker?.fail(!(error instanceof SituError && error.stops === 'task'))
    this.#reading.abort()
    this.#working.abort(new CallRefused())
    this.#changed.raise()
  }
}
