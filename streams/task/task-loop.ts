import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Counters } from '../../schemas/records.ts'
import type { Stage } from '../chain/topology.ts'
import { CallRefused } from '../spending/caller.ts'
import type { Message, OutgoingMessage } from '../transports/transport.ts'
import { since, type TaskActivity } from './activity.ts'
import { Committer, type Completed } from './committer.ts'
import { type Asked, Intake } from './intake.ts'
import type { Position } from './position.ts'
import { type Outcome, RecordWorker, type RecordWorkerPorts } from './record-worker.ts'
import { Slots } from './slots.ts'
import type { StageBinding } from './stage-binding.ts'
import { Suspects } from './suspects.ts'
import { emptyCounters } from './task-record.ts'
import { readState, type StatePorts } from './task-state.ts'

/** Offsets between the oldest open record and the newest taken one, so that the finished set stays bounded. */
const windowOffsets = 10_000
/** Messages that are read at once. */
const readMessages = 100

export interface TaskLoopPorts extends StatePorts, Omit<RecordWorkerPorts, 'index' | 'draining' | 'maxMessageBytes'> {
  concurrency: number
  ordered: boolean
  /** Throws where the stage is not what it was when the run began; asked at each take-over. */
  confirm?: ((stage: Stage) => Promise<void>) | undefined
  /** Before inputs are taken: resolves once what they need is there, or when it is aborted. */
  ready?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Takes one input off the limit of the stage; false where it is used up. */
  admit: () => boolean
}

/** What a task has once its position and state are read back. */
interface Restored {
  positions: readonly Position[]
  index: StatefulIndex | null
  committer: Committer
  worker: RecordWorker
}

/** Works one task: reads, works up to `concurrency` records at once, and commits what is complete, out of order. */
export class TaskLoop {
  readonly #ports: TaskLoopPorts
  readonly #reading = new AbortController()
  readonly #working = new AbortController()
  readonly #slots: Slots
  readonly #intake: Intake
  #restored: Restored | null = null
  readonly #open = new Map<number, { since: number; offset: number }>()
  #started = 0
  readonly #suspects: Suspects
  /** Topics whose inputs wait for other stages. */
  #held = 0
  /** No further input is taken: the limit is reached. */
  #limited = false
  /** The range of the stage is read to its end. */
  #ended = false
  #running: Promise<void> = Promise.resolve()
  #error: unknown = null
  #before: Counters = emptyCounters()
  readonly #takenAt: number
  #lastFetch: number | null = null
  #lastCommit: number | null = null
  #uncommittedSince: number | null = null
  #commits = 0
  /** What those wait for who want to know of any change; null while nobody does. */
  #waiting: PromiseWithResolvers<void> | null = null

  constructor(ports: TaskLoopPorts) {
    this.#ports = ports
    this.#takenAt = ports.clock.now()
    this.#slots = new Slots(ports.binding.stage.state === null ? ports.concurrency : 1)
    this.#suspects = new Suspects(ports.binding.stage.name)
    this.#intake = new Intake({ ...ports, stage: ports.binding.stage, partition: ports.claim.task.partition })
  }

  get id(): string {
    return this.#ports.claim.task.id
  }

  get binding(): StageBinding {
    return this.#ports.binding
  }

  /** Committed and open counts, as of now. */
  get counters(): Counters {
    return this.#restored?.committer.counters ?? emptyCounters()
  }

  /** What ended the task; null while nothing has. */
  get error(): unknown {
    return this.#error
  }

  /** Offset and age of the record that has been open the longest. */
  get oldest(): { offset: number; ageMs: number } | null {
    const first = this.#open.values().next().value
    return first ? { offset: first.offset, ageMs: this.#ports.clock.now() - first.since } : null
  }

  /** What this process has done of the task, for metrics and health. */
  get activity(): TaskActivity {
    const { name, variant } = this.binding.stage
    return {
      id: this.id,
      stage: name,
      variant,
      worked: since(this.#before, this.counters),
      open: this.#open.size,
      oldestMs: this.oldest?.ageMs ?? 0,
      commits: this.#commits,
      isRestored: this.#restored !== null,
      isHeld: this.#held > 0,
      takenAt: this.#takenAt,
      lastFetch: this.#lastFetch,
      lastCommit: this.#lastCommit,
      uncommittedSince: this.#uncommittedSince,
      openings: this.#restored?.committer.openings ?? null,
    }
  }

  /** Writes down what its model calls wait for. */
  tellWaiting(waiting: string | null): void {
    this.#restored?.committer.tellWaiting(waiting)
  }

  /** Every offset of the topic below it is committed; infinite where no further input of the topic is taken. */
  workedTo(topic: string): number {
    if (this.#isPastLimit(topic)) return Number.POSITIVE_INFINITY
    return this.#restored?.positions.find(position => position.topic === topic)?.settledTo ?? 0
  }

  /** Messages that wait to be taken; 0 beyond a limit, and until the position is read back. */
  async lag(): Promise<number> {
    let lag = 0
    for (const { topic, readTo } of this.#restored?.positions ?? []) {
      if (this.#isPastLimit(topic)) continue
      lag += Math.max(0, (await this.#endOf(topic)) - readTo)
    }
    return lag
  }

  /** Whether everything that is there has been worked and committed. */
  async isIdle(): Promise<boolean> {
    const restored = this.#restored
    if (!restored || this.#open.size > 0) return false
    this.#releaseSuspects()
    if (!restored.committer.isIdle) return false
    for (const { topic, readTo } of restored.positions) {
      if (this.#isPastLimit(topic)) continue
      if ((await this.#endOf(topic)) > readTo) return false
    }
    return this.#open.size === 0 && restored.committer.isIdle
  }

  /** Whether what waits in the topic is not to be taken. */
  #isPastLimit(topic: string): boolean {
    return (this.#limited && topic !== 'retry') || (this.#ended && topic === this.binding.stage.input)
  }

  async #endOf(topic: string): Promise<number> {
    return (await this.#ports.transport.bounds(topic, this.#ports.claim.task.partition)).end
  }

  /** Works until `drain`, or until an error that ends the task (see `error`). */
  start(): void {
    const { claim, log } = this.#ports
    const lost = () => {
      log.warn({ task: this.id, open: this.#open.size, uncommitted: this.counters.inFlight }, 'task lost')
      this.#fail(new SituError('TASK_LOST', `${this.id}: another worker has taken it over`))
    }
    claim.lost.addEventListener('abort', lost, { once: true })
    if (claim.lost.aborted) lost()
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    try {
      this.#restored = await this.#restore()
      this.#ports.log.debug({ task: this.id, ms: this.#ports.clock.now() - this.#takenAt }, 'task restored')
      await this.#restored.committer.begin()
      await Promise.all(this.#restored.positions.map(position => this.#pump(position)))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Begins nothing more: no record is taken, and no call is made. What is open may end. */
  stopBeginning(): void {
    this.#reading.abort()
    this.#notify()
  }

  /** Takes no further record, finishes what is open within the time, commits it and gives the task back. */
  async drain(deadlineMs: number): Promise<void> {
    const { clock, claim } = this.#ports
    this.stopBeginning()
    const deadline = clock.now() + deadlineMs
    while (this.#open.size > 0 && clock.now() < deadline && !this.#error) {
      await Promise.race([this.#changed, clock.sleep(50)])
    }
    this.#working.abort(new CallRefused())
    // Not before: reading waits for a slot as long as the open records do.
    await this.#running
    while (this.#open.size > 0) await this.#changed
    this.#releaseSuspects()
    this.tellWaiting(null)
    await this.#restored?.committer.flush()
    this.#restored?.committer.stop()
    await claim.release()
  }

  async #restore(): Promise<Restored> {
    await this.#ports.confirm?.(this.binding.stage)
    const { positions, counters, index } = await readState(this.#ports)
    const { stage, configuration } = this.binding
    const committer = new Committer({
      ...this.#ports,
      variant: stage.variant,
      configuration,
      positions,
      counters,
      index,
      onCommit: chunk => this.#committed(chunk),
      onError: error => this.#fail(error),
    })
    this.#before = committer.counters
    const { maxMessageBytes } = this.#ports.transport.limits
    const worker = new RecordWorker({ ...this.#ports, index, maxMessageBytes, draining: this.#reading.signal })
    return { positions, index, committer, worker }
  }

  /** Reads one topic of the task and starts the work of its records. */
  async #pump(position: Position): Promise<void> {
    const { signal } = this.#reading
    const batches = this.#ports.claim.read(position.topic, position.readTo, { signal, maxMessages: readMessages })
    for await (const batch of batches) {
      this.#lastFetch = this.#ports.clock.now()
      await this.#untilReady(signal)
      for (const message of batch.messages) {
        if (this.#isBehindEnd(position, message)) return
        if (!this.#admitAtOnce(position) && !(await this.#admit(position))) return
        const taken = this.#take(position, message)
        if (!(typeof taken === 'boolean' ? taken : await taken)) return
      }
      position.pass(batch.next)
    }
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    const { ready } = this.#ports
    if (!ready) return
    this.#held++
    await ready(signal)
    this.#held--
  }

  /** Whether the message lies behind the range of the stage; its input then counts as read to the end. */
  #isBehindEnd(position: Position, { partition, offset }: Message): boolean {
    const { input, until } = this.binding.stage
    const end = until?.[partition] ?? Number.POSITIVE_INFINITY
    if (position.topic !== input || offset < end) return false
    this.#ended = true
    // Control records may lie before the end, and would seem to wait for ever.
    position.pass(end)
    this.#notify()
    return true
  }

  /** Most records need no wait, and a wait costs more than the rest of their admission. */
  #admitAtOnce(position: Position): boolean {
    return !this.#reading.signal.aborted && position.window < windowOffsets && this.#slots.tryAcquire()
  }

  /** Waits for a slot and for room in the window. @returns False where no further record is to be taken. */
  async #admit(position: Position): Promise<boolean> {
    await this.#slots.acquire()
    while (position.window >= windowOffsets && !this.#reading.signal.aborted) await this.#changed
    if (!this.#reading.signal.aborted) return true
    this.#slots.release()
    return false
  }

  /** Starts the work of a message; the slot is given back at its end. @returns False at the limit of the stage. */
  #take(position: Position, message: Message): boolean | Promise<boolean> {
    if (position.wasFinished(message.offset)) return this.#pass(position, message)
    const asked = this.#intake.read(message)
    if (!(asked instanceof Promise)) return this.#takeAsked(position, message, asked)
    return asked.then(known => this.#takeAsked(position, message, known))
  }

  #takeAsked(position: Position, message: Message, asked: Asked | null): boolean | Promise<boolean> {
    if (!asked) return this.#pass(position, message)
    if (asked.forward) return this.#sendOn(position, message, asked, asked.forward)
    const isRetry = position.topic === 'retry'
    if (!isRetry && !this.#ports.admit()) {
      this.#limited = true
      this.#slots.release()
      return false
    }
    position.take(message.offset)
    if (!isRetry) this.#restored?.committer.take(position, message.offset)
    this.#begin(position, message.offset, asked)
    return true
  }

  #begin(position: Position, offset: number, asked: Asked): void {
    const number = this.#started++
    this.#open.set(number, { since: this.#ports.clock.now(), offset })
    void this.#work(position, offset, asked).finally(() => {
      this.#open.delete(number)
      this.#slots.release()
      this.#notify()
    })
  }

  /** The message asks for nothing, or an earlier run has finished it. */
  #pass(position: Position, { offset }: Message): boolean {
    position.skip(offset)
    this.#slots.release()
    return true
  }

  /** The input is another task's: it is counted there. */
  async #sendOn(
    position: Position,
    { offset }: Message,
    { request }: Asked,
    messages: readonly OutgoingMessage[],
  ): Promise<boolean> {
    const committer = this.#restored?.committer
    if (committer?.isFull) await committer.flush()
    position.take(offset)
    if (!request) committer?.take(position, offset, true)
    this.#uncommittedSince ??= this.#ports.clock.now()
    committer?.add({ result: { kind: 'forwarded' }, messages: [...messages], spent: null, position, offset, request })
    this.#slots.release()
    return true
  }

  async #work(position: Position, offset: number, { input, request }: Asked): Promise<void> {
    if (!this.#restored) return
    const { committer } = this.#restored
    const { turn } = committer
    const { clock } = this.#ports
    if (turn && committer.isFull) await committer.flush()
    await turn?.acquire()
    const begun = clock.now()
    try {
      const outcome = await this.#apply(this.#restored, input)
      if (request && outcome.result.kind !== 'failed') outcome.messages.push(request.tombstone)
      this.#complete({ ...outcome, position, offset, request }, clock.now() - begun)
    } catch (error) {
      this.#intake.end(request)
      if (!(error instanceof CallRefused) && !this.#working.signal.aborted) this.#fail(error)
    } finally {
      turn?.release()
    }
  }

  /** The outcome of one input, with the entries of the index that belong to it. */
  async #apply({ index, worker }: Restored, message: Message): Promise<Outcome> {
    const before = index?.pendingSize ?? 0
    const outcome = await worker.work(message, this.#working.signal)
    const { state } = this.binding.stage
    if (!index || !state) return outcome
    // A text whose record could not be written must not count as kept.
    if (outcome.result.kind === 'failed') index.rollback(before)
    for (const entry of index.pending(before)) {
      const { value } = this.#ports.serde.encode('signature', entry)
      outcome.messages.push({ topic: state, partition: this.#ports.claim.task.partition, key: entry.id, value })
    }
    return outcome
  }

  /** Suspects that come after the task has ended stay uncommitted. */
  #complete(completed: Completed, workedMs: number): void {
    if (this.#error && completed.result.kind === 'failed' && completed.result.code === 'OPERATOR_BUG') return
    if (this.#suspects.hold(completed)) return
    this.#releaseSuspects()
    this.#uncommittedSince ??= this.#ports.clock.now()
    this.#restored?.committer.add(completed, workedMs)
  }

  #committed(chunk: readonly Completed[]): void {
    for (const { request } of chunk) this.#intake.end(request)
    const now = this.#ports.clock.now()
    this.#commits++
    this.#lastCommit = now
    const waiting = this.counters.inFlight - this.#open.size - this.#suspects.count
    this.#uncommittedSince = waiting > 0 ? now : null
    this.#notify()
  }

  #releaseSuspects(): void {
    for (const suspect of this.#suspects.release()) this.#restored?.committer.add(suspect)
  }

  #fail(error: unknown): void {
    this.#error ??= error
    // After a known error what is complete is still good; a lost task or a failed commit writes nothing more.
    if (error instanceof SituError && error.stops === 'task') this.#restored?.committer.stop()
    this.#suspects.release()
    this.#reading.abort()
    this.#working.abort(new CallRefused())
    this.#notify()
  }

  get #changed(): Promise<void> {
    this.#waiting ??= Promise.withResolvers<void>()
    return this.#waiting.promise
  }

  #notify(): void {
    this.#waiting?.resolve()
    this.#waiting = null
  }
}
