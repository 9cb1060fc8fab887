import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { Counters, Openings, Task, Work } from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import { partitionOf } from '../chain/topology.ts'
import type { Clock } from '../clock.ts'
import type { Claim, Transport } from '../transports/transport.ts'
import { OpeningWindow } from './opening-window.ts'
import { type Completed, OutcomeQueue } from './outcome-queue.ts'
import { Pace } from './pace.ts'
import type { Position } from './position.ts'
import { Slots } from './slots.ts'
import { count, emptyCounters, finished } from './task-record.ts'

/** So many outcomes do not wait for others; and most in one commit, unless the transport wants more. */
const fullRecords = 200
/** How long an outcome waits for others to be committed with: at least, and at most. */
const lingerMs = { shortest: 10, longest: 250 }
/** Share of the time that it took which it may wait: of a model call nobody notices it, and each commit has its price. */
const lingerShare = 0.1

export interface CommitterPorts {
  claim: Claim
  transport: Pick<Transport, 'limits' | 'get'>
  serde: Serde
  clock: Clock
  /** Variant of the stage. */
  variant: string
  /** Hash of the configuration that makes the outputs. */
  configuration: string
  positions: readonly Position[]
  counters: Counters | null
  index: StatefulIndex | null
  /** Write outputs in the order of their inputs. */
  ordered: boolean
  partitions: number
  /** A commit of these succeeded. */
  onCommit: (chunk: readonly Completed[]) => void
  onError: (error: unknown) => void
}

/**
 * Commits what is complete: outputs, drops, dead letters, entries of the index and the task record in one atomic step,
 * one step at a time.
 */
export class Committer {
  /** Held by the work of a stateful stage and by its commits: the index changes for one of them at a time. */
  readonly turn: Slots | null
  readonly #ports: CommitterPorts
  #counters: Counters
  #taken: number
  readonly #queue: OutcomeQueue
  #flushed: Promise<void> = Promise.resolve()
  /** Flushes asked for and not ended. */
  #flushes = 0
  readonly #pace: Pace
  #made: Pick<Work, 'commits' | 'taken'> = { commits: 0, taken: 0 }
  #waiting: string | null = null
  readonly #openings = new OpeningWindow()
  /** What was told before the task was taken, until there is an output. */
  #openingsBefore: Openings | null = null
  #lingering = false
  /** How long the last commit took. */
  #commitMs = 0
  #failed = false
  /** Where the positions stand in the task record, as of the last commit that began. */
  #written: readonly number[] = []
  #hasBegun = false
  #isKeepingUp = false

  constructor(ports: CommitterPorts) {
    this.#ports = ports
    this.#counters = ports.counters ?? emptyCounters()
    // What was in flight at the last commit is taken again.
    this.#taken = finished(this.#counters)
    this.turn = ports.index ? new Slots(1) : null
    this.#queue = new OutcomeQueue(ports.ordered)
    this.#pace = new Pace(ports.clock.now(), this.#taken)
  }

  /** Committed and open counts, as of now. */
  get counters(): Counters {
    return { ...this.#counters, in: this.#taken, inFlight: this.#taken - finished(this.#counters) }
  }

  /** How the outputs begin that were committed since the task was taken; null where there is none. */
  get openings(): Openings | null {
    return this.#openings.told
  }

  get isIdle(): boolean {
    return this.#queue.size === 0 && this.#flushes === 0
  }

  /** Whether to commit before more is worked: what a stage with state has completed goes into one commit. */
  get isFull(): boolean {
    return this.#queue.bytes > this.#ports.transport.limits.maxCommitBytes / 2
  }

  /** Counts an input as taken, unless it is another task's. */
  take(position: Position, offset: number, isForwarded = false): void {
    if (!isForwarded) this.#taken++
    this.#queue.expect(position, offset)
  }

  /** @param workedMs - How long it took. */
  add(completed: Completed, workedMs = 0): void {
    this.#queue.add(completed)
    void this.#flushSoon(workedMs)
  }

  async #flushSoon(workedMs: number): Promise<void> {
    if (this.#lingering) return
    if (this.#queue.size < fullRecords) {
      this.#lingering = true
      // With state nothing is worked during a commit: as long as one takes, so long may be worked for the next.
      const wanted = this.turn ? this.#commitMs : workedMs * lingerShare
      await this.#ports.clock.sleep(Math.min(lingerMs.longest, Math.max(lingerMs.shortest, wanted)))
      this.#lingering = false
    }
    // One that has not begun yet will take this outcome along.
    if (this.#flushes < 2) await this.flush()
  }

  /** Commits everything that is complete by now. Never rejects: see `onError`. */
  flush(): Promise<void> {
    this.#flushes++
    this.#flushed = this.#flushed.then(async () => {
      await this.#flushAll()
      this.#flushes--
    })
    return this.#flushed
  }

  /** Writes down what model calls wait for, where that has changed: a commit may be long in coming. */
  tellWaiting(waiting: string | null): void {
    if (waiting === this.#waiting) return
    this.#waiting = waiting
    this.#writeTask()
  }

  /**
   * Where nothing is to be committed: writes down how far the task has read, if it is further than the last commit says.
   * Control records and requests to other tasks are passed without one, and would seem to wait.
   *
   * @returns Whether it stands there already.
   */
  keepUp(): boolean {
    if (!this.#hasBegun) return false
    const stands = this.#ports.positions.every(({ next }, index) => next === this.#written[index])
    if (!stands && !this.#isKeepingUp && !this.#failed) {
      this.#isKeepingUp = true
      this.#writeTask()
      void this.#flushed.then(() => {
        this.#isKeepingUp = false
      })
    }
    return stands && !this.#isKeepingUp
  }

  /** Writes the task record alone, in its turn. */
  #writeTask(): void {
    this.#flushed = this.#flushed.then(async () => {
      if (this.#failed) return
      await this.turn?.acquire()
      try {
        await this.#commit([])
      } catch (error) {
        this.#failed = true
        this.#ports.onError(error)
      } finally {
        this.turn?.release()
      }
    })
  }

  /** Nothing more is to be committed. */
  stop(): void {
    this.#failed = true
  }

  /** Writes the task record alone: at a take-over, so that epoch and configuration stand there. */
  async begin(): Promise<void> {
    const { claim, serde, transport } = this.#ports
    const before = await transport.get('task', claim.task.id)
    const work = before && (await serde.decode('task', before.value)).work
    this.#made = { commits: work?.commits ?? 0, taken: (work?.taken ?? 0) + 1 }
    this.#openingsBefore = work?.openings ?? null
    await this.#commit([])
    this.#hasBegun = true
  }

  async #flushAll(): Promise<void> {
    while (!this.#failed) {
      await this.turn?.acquire()
      try {
        const { maxCommitBytes, commitRecords = fullRecords } = this.#ports.transport.limits
        // With state all at once: the index confirms everything that it holds.
        const chunk = this.#ports.index ? this.#queue.takeAll() : this.#queue.take(commitRecords, maxCommitBytes)
        if (chunk.length === 0) return
        await this.#commit(chunk)
        this.#ports.index?.confirm()
        this.#ports.onCommit(chunk)
        // With state that was all, and what is worked from now on is to wait for others like it.
        if (this.turn) return
      } catch (error) {
        this.#failed = true
        this.#ports.index?.rollback()
        this.#ports.onError(error)
      } finally {
        this.turn?.release()
      }
    }
  }

  async #commit(chunk: readonly Completed[]): Promise<void> {
    const { claim, serde, clock, variant, configuration, positions, partitions } = this.#ports
    const counters = structuredClone(this.#counters)
    for (const completed of chunk) count(counters, completed, completed.request?.code ?? null)
    counters.in = this.#taken
    counters.inFlight = this.#taken - finished(counters)
    const undo = positions.map(position =>
      position.finish(chunk.flatMap(completed => (completed.position === position ? [completed.offset] : []))),
    )
    // A commit that fails ends the task, and the window with it.
    this.#openings.add(chunk.flatMap(({ openings = [] }) => openings))
    const time = clock.now()
    const made = { ...this.#made, commits: this.#made.commits + 1 }
    const openings = this.openings ?? this.#openingsBefore
    const record: Task = {
      id: claim.task.id,
      stage: claim.task.stage,
      partition: claim.task.partition,
      epoch: claim.epoch,
      configuration,
      positions: positions.map(position => position.toRecord()),
      counters,
      time,
      variant,
      work: { ...made, ...this.#pace.at(time), waiting: this.#waiting, openings },
    }
    this.#written = record.positions.map(({ next }) => next)
    const { value } = serde.encode('task', record)
    const task = { topic: 'task', partition: partitionOf('task', record, partitions), key: record.id, value }
    try {
      await claim.commit(
        chunk.flatMap(completed => completed.messages),
        () => task,
        record.positions,
      )
    } catch (error) {
      for (const take of undo) take()
      throw error
    }
    this.#commitMs = clock.now() - time
    this.#counters = counters
    this.#made = made
    this.#pace.note(time, finished(counters))
    for (const position of positions) position.settle()
    this.#queue.committed(chunk)
  }
}
