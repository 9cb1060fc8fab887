import type { StatefulIndex } from '../operators/dedup/near-duplicate-index.ts'
import { SituError } from '../schemas/errors.ts'
import type { Counters, Retry, Task } from '../schemas/records.ts'
import type { Serde } from '../schemas/serde.ts'
import { CallRefused } from './call-recorder.ts'
import type { Clock } from './clock.ts'
import { Position } from './position.ts'
import { type Outcome, RecordWorker, type RecordWorkerPorts } from './record-worker.ts'
import { Slots } from './slots.ts'
import type { StageBinding } from './stage-binding.ts'
import { count, emptyCounters, finished } from './task-record.ts'
import { partitionOf } from './topology.ts'
import type { Claim, Message, OutgoingMessage, Transport } from './transports/transport.ts'

/** Most outcomes in one commit. */
const commitRecords = 200
/** How long an outcome waits for others to be committed with. */
const lingerMs = 10
/** Offsets between the oldest open record and the newest taken one, so that the finished set stays bounded. */
const windowOffsets = 10_000
/** Unknown errors in a row that end the stage. */
const bugsInARow = 10

export interface TaskLoopPorts extends Omit<RecordWorkerPorts, 'index' | 'mayCall' | 'maxMessageBytes'> {
  transport: Transport
  claim: Claim
  concurrency: number
  ordered: boolean
  acceptChange: boolean
  /** Takes one input off the limit of the stage; false where it is used up. */
  admit: () => boolean
}

/** An outcome on its way into a commit. */
interface Completed extends Outcome {
  position: Position
  offset: number
  /** For a dead letter put back to work: the code that it had. */
  retried: string | null
}

/** What a message of the topic `retry` asks this task to do. */
interface RetryRequest {
  deadLetter: string
  code: string
  input: Message
  /** Deletes the dead letter. */
  tombstone: OutgoingMessage
}

/** Works one task: reads, works up to `concurrency` records at once, and commits what is complete, out of order. */
export class TaskLoop {
  readonly binding: StageBinding
  readonly #ports: TaskLoopPorts
  readonly #claim: Claim
  readonly #serde: Serde
  readonly #clock: Clock
  readonly #reading = new AbortController()
  readonly #working = new AbortController()
  readonly #slots: Slots
  /** Held by the work of a stateful stage and by its commits: the index changes for one of them at a time. */
  readonly #turn: Slots | null
  #index: StatefulIndex | null = null
  #worker: RecordWorker | null = null
  #positions: Position[] = []
  #counters: Counters = emptyCounters()
  #taken = 0
  readonly #open = new Map<number, { since: number; offset: number }>()
  #started = 0
  #completed: Completed[] = []
  #suspects: Completed[] = []
  readonly #orderedOffsets: number[] = []
  readonly #retrying = new Set<string>()
  #flushing: Promise<void> | null = null
  #lingering = false
  #limited = false
  #draining = false
  #error: unknown = null
  #changed = Promise.withResolvers<void>()

  constructor(ports: TaskLoopPorts) {
    this.#ports = ports
    this.binding = ports.binding
    this.#claim = ports.claim
    this.#serde = ports.serde
    this.#clock = ports.clock
    const stateful = ports.binding.stage.state !== null
    this.#slots = new Slots(stateful ? 1 : ports.concurrency)
    this.#turn = stateful ? new Slots(1) : null
  }

  get id(): string {
    return this.#claim.task.id
  }

  /** Committed and open counts, as of now. */
  get counters(): Counters {
    return { ...this.#counters, in: this.#taken, inFlight: this.#taken - finished(this.#counters) }
  }

  get error(): unknown {
    return this.#error
  }

  /** Offset and age of the record that has been open the longest. */
  get oldest(): { offset: number; ageMs: number } | null {
    const first = this.#open.values().next().value
    return first ? { offset: first.offset, ageMs: this.#clock.now() - first.since } : null
  }

  /** Whether everything that is there has been worked and committed. */
  async isIdle(): Promise<boolean> {
    if (this.#open.size > 0 || this.#positions.length === 0) return false
    this.#release()
    if (this.#completed.length > 0 || this.#flushing) {
      void this.#flush()
      return false
    }
    if (this.#limited) return true
    for (const { topic, readTo } of this.#positions) {
      const { end } = await this.#ports.transport.bounds(topic, this.#claim.task.partition)
      if (end > readTo) return false
    }
    return this.#open.size === 0 && this.#completed.length === 0
  }

  /** Runs until `drain`, or until an error that ends the task (see `error`). */
  async run(): Promise<void> {
    const lost = () => this.#fail(new SituError('TASK_LOST', `${this.id}: another worker has taken it over`))
    this.#claim.lost.addEventListener('abort', lost, { once: true })
    try {
      await this.#restore()
      await Promise.all(this.#positions.map(position => this.#pump(position)))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Takes no further record, finishes what is open within the time, commits it and gives the task back. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true
    this.#reading.abort()
    const deadline = this.#clock.now() + deadlineMs
    while (this.#open.size > 0 && this.#clock.now() < deadline && !this.#error) {
      await Promise.race([this.#changed.promise, this.#clock.sleep(50)])
    }
    this.#working.abort(new CallRefused())
    while (this.#open.size > 0) await this.#changed.promise
    if (!this.#error) {
      this.#release()
      await this.#flush()
    }
    await this.#claim.release()
  }

  async #restore(): Promise<void> {
    const { binding, transport, acceptChange } = this.#ports
    const { task } = this.#claim
    const message = await transport.get('task', task.id)
    const stored = message && (await this.#serde.decode('task', message.value))
    const changed = stored?.configuration && stored.configuration !== binding.configuration
    if (changed && !acceptChange && finished(stored.counters) > 0) {
      throw new SituError('CONFIGURATION_CHANGED', `${task.id}: its configuration has changed since it was last worked`)
    }
    this.#positions = task.topics.map(
      topic =>
        new Position(
          topic,
          stored?.positions.find(position => position.topic === topic),
        ),
    )
    await this.#checkPositions(stored !== null)
    this.#counters = stored?.counters ?? emptyCounters()
    this.#taken = finished(this.#counters)
    await this.#restoreIndex()
    this.#worker = new RecordWorker({
      ...this.#ports,
      index: this.#index,
      maxMessageBytes: transport.limits.maxMessageBytes,
      mayCall: () => !this.#draining,
    })
    await this.#commit([])
  }

  async #checkPositions(stored: boolean): Promise<void> {
    const { transport, binding } = this.#ports
    for (const { topic, next } of this.#positions) {
      const { start, end } = await transport.bounds(topic, this.#claim.task.partition)
      if (stored && (next > end || next < start)) {
        const rule = `${topic} holds offsets ${start} to ${end - 1}`
        throw new SituError('POSITION_LOST', `${this.id}: its position is ${next}, but ${rule}`)
      }
    }
    if (stored || binding.stage.output === 'article') return
    const output = (await transport.topics()).find(topic => topic.name === binding.stage.output)
    if (output?.partitions === 1 && (output.written ?? 0) > 0) {
      throw new SituError('POSITION_LOST', `${this.id}: ${output.name} has records, but the task has no position`)
    }
  }

  async #restoreIndex(): Promise<void> {
    const { stage, options } = this.binding
    if (!stage.state || !stage.operator.createIndex) return
    this.#index = stage.operator.createIndex(options)
    for await (const { value } of this.#ports.transport.compacted(stage.state, this.#claim.task.partition)) {
      this.#index.restore(await this.#serde.decode('signature', value))
    }
  }

  /** Reads one topic of the task and starts the work of its records. */
  async #pump(position: Position): Promise<void> {
    const { signal } = this.#reading
    const maxMessages = 100
    for await (const batch of this.#claim.read(position.topic, position.readTo, { signal, maxMessages })) {
      for (const message of batch.messages) {
        if (!(await this.#admit(position)) || !(await this.#take(position, message))) return
      }
      position.pass(batch.next)
    }
  }

  /** Waits for a slot and for room in the window. @returns False where no further record is to be taken. */
  async #admit(position: Position): Promise<boolean> {
    await this.#slots.acquire()
    while (position.window >= windowOffsets && !this.#reading.signal.aborted) await this.#changed.promise
    if (!this.#reading.signal.aborted) return true
    this.#slots.release()
    return false
  }

  /** Starts the work of a message; the slot is given back at its end. @returns False at the limit of the stage. */
  async #take(position: Position, message: Message): Promise<boolean> {
    const isRetry = position.topic === 'retry'
    if (!isRetry && !position.wasFinished(message.offset) && !this.#ports.admit()) {
      this.#limited = true
      this.#slots.release()
      return false
    }
    const isNew = position.take(message.offset)
    const request = isNew && isRetry ? await this.#readRetry(message) : null
    if (!isNew || (isRetry && !request)) {
      position.finish([message.offset])
      this.#slots.release()
      return true
    }
    if (!isRetry) this.#taken++
    if (this.#ports.ordered && !isRetry) this.#orderedOffsets.push(message.offset)
    const number = this.#started++
    this.#open.set(number, { since: this.#clock.now(), offset: message.offset })
    void this.#work(position, message, request).finally(() => {
      this.#open.delete(number)
      this.#slots.release()
      this.#notify()
    })
    return true
  }

  /** What the request asks for; null where it is not for this stage, is worked already or its dead letter is gone. */
  async #readRetry(message: Message): Promise<RetryRequest | null> {
    let retry: Retry
    try {
      retry = await this.#serde.decode('retry', message.value)
    } catch {
      return null
    }
    if (retry.operator !== this.binding.stage.name || this.#retrying.has(retry.id)) return null
    this.#retrying.add(retry.id)
    const letter = await this.#ports.transport.get('failed', retry.id)
    if (!letter) {
      this.#retrying.delete(retry.id)
      return null
    }
    const { code } = await this.#serde.decode('failed', letter.value)
    const { topic, partition, offset } = retry.place
    const input = retry.value
      ? { ...message, topic, partition, offset, value: retry.value }
      : await this.#readAt(topic, partition, offset)
    const tombstone = { topic: 'failed', partition: letter.partition, key: retry.id, value: null }
    return { deadLetter: retry.id, code, input, tombstone }
  }

  async #readAt(topic: string, partition: number, offset: number): Promise<Message> {
    for await (const { messages } of this.#ports.transport.read(topic, partition, offset, { maxMessages: 1 })) {
      const [message] = messages
      if (message?.offset === offset) return message
      break
    }
    throw new SituError('POSITION_LOST', `${this.id}: ${topic}/${partition}/${offset} is no longer there`)
  }

  async #work(position: Position, message: Message, request: RetryRequest | null): Promise<void> {
    try {
      await this.#turn?.acquire()
      try {
        const outcome = await this.#apply(request?.input ?? message)
        if (request && outcome.result.kind !== 'failed') outcome.messages.push(request.tombstone)
        this.#complete({ ...outcome, position, offset: message.offset, retried: request?.code ?? null })
      } finally {
        this.#turn?.release()
      }
    } catch (error) {
      if (!(error instanceof CallRefused) && !this.#working.signal.aborted) this.#fail(error)
    } finally {
      if (request) this.#retrying.delete(request.deadLetter)
    }
  }

  /** The outcome of one input, with the entries of the index that belong to it. */
  async #apply(message: Message): Promise<Outcome> {
    const before = this.#index?.pendingSize ?? 0
    const outcome = await (this.#worker as RecordWorker).work(message, this.#working.signal)
    // A text whose record could not be written must not count as kept.
    if (outcome.result.kind === 'failed') this.#index?.rollback(before)
    for (const entry of this.#index?.pending(before) ?? []) {
      const { state } = this.binding.stage
      const { value } = this.#serde.encode('signature', entry)
      const { partition } = this.#claim.task
      if (state) outcome.messages.push({ topic: state, partition, key: entry.id, value, parent: null })
    }
    return outcome
  }

  /** Unknown errors wait until a record has worked: where all fail, it is the stage that is broken, not its input. */
  #complete(completed: Completed): void {
    const { result } = completed
    if (result.kind === 'failed' && result.code === 'OPERATOR_BUG') {
      this.#suspects.push(completed)
      if (this.#suspects.length < bugsInARow) return
      const message = `${this.binding.stage.name}: ${bugsInARow} unknown errors in a row; nothing of them is committed`
      throw new SituError('OPERATOR_BUG', message)
    }
    this.#release()
    this.#completed.push(completed)
    void this.#flushSoon()
  }

  #release(): void {
    this.#completed.push(...this.#suspects.splice(0))
  }

  async #flushSoon(): Promise<void> {
    if (this.#completed.length < commitRecords) {
      if (this.#lingering || this.#flushing) return
      this.#lingering = true
      await this.#clock.sleep(lingerMs, this.#working.signal)
      this.#lingering = false
    }
    await this.#flush()
  }

  /** Commits what is complete; one commit at a time. */
  #flush(): Promise<void> {
    this.#flushing ??= this.#flushAll()
      .catch(error => this.#fail(error))
      .finally(() => {
        this.#flushing = null
        this.#notify()
      })
    return this.#flushing
  }

  async #flushAll(): Promise<void> {
    while (!this.#error) {
      await this.#turn?.acquire()
      try {
        const chunk = this.#nextChunk()
        if (chunk.length === 0) return
        await this.#commit(chunk)
        this.#index?.confirm()
      } catch (error) {
        this.#index?.rollback()
        throw error
      } finally {
        this.#turn?.release()
      }
      this.#notify()
    }
  }

  /** The next outcomes to commit: bounded in number and in bytes for each partition; with state, always all of them. */
  #nextChunk(): Completed[] {
    const ready = this.#ports.ordered ? this.#inOrder() : this.#completed
    const { maxCommitBytes } = this.#ports.transport.limits
    const bytes = new Map<string, number>()
    let taken = 0
    for (const { messages } of ready) {
      for (const { topic, partition, key, value } of messages) {
        const place = `${topic}/${partition}`
        bytes.set(place, (bytes.get(place) ?? 0) + key.length + (value?.length ?? 0))
      }
      const over = taken >= commitRecords || Math.max(...bytes.values()) > maxCommitBytes
      if (over && taken > 0 && !this.#index) break
      taken++
    }
    const chunk = ready.slice(0, taken)
    if (taken === this.#completed.length) this.#completed = []
    else {
      const gone = new Set(chunk)
      this.#completed = this.#completed.filter(completed => !gone.has(completed))
    }
    return chunk
  }

  /** Retries, and those others that no open record stands before. */
  #inOrder(): Completed[] {
    const ready = this.#completed.filter(({ position }) => position.topic === 'retry')
    const byOffset = new Map<number, Completed>()
    for (const completed of this.#completed) {
      if (completed.position.topic !== 'retry') byOffset.set(completed.offset, completed)
    }
    for (const offset of this.#orderedOffsets) {
      const completed = byOffset.get(offset)
      if (!completed) break
      ready.push(completed)
    }
    return ready
  }

  async #commit(chunk: readonly Completed[]): Promise<void> {
    const counters = structuredClone(this.#counters)
    for (const { result, retried } of chunk) count(counters, result, retried)
    counters.in = this.#taken
    counters.inFlight = this.#taken - finished(counters)
    const undo = this.#positions.map(position =>
      position.finish(chunk.flatMap(completed => (completed.position === position ? [completed.offset] : []))),
    )
    try {
      const { task, epoch } = this.#claim
      const record: Task = {
        id: task.id,
        stage: task.stage,
        partition: task.partition,
        epoch,
        configuration: this.binding.configuration,
        positions: this.#positions.map(position => position.toRecord()),
        counters,
        time: this.#clock.now(),
      }
      const { value } = this.#serde.encode('task', record)
      const partition = partitionOf('task', record, this.#ports.partitions)
      const messages = chunk.flatMap(completed => completed.messages)
      const finish = () => ({ topic: 'task', partition, key: task.id, value })
      await this.#claim.commit(messages, finish, record.positions)
    } catch (error) {
      for (const take of undo) take()
      throw error
    }
    this.#counters = counters
    for (const position of this.#positions) position.trim()
    if (this.#ports.ordered) {
      const done = new Set(chunk.map(({ offset }) => offset))
      while (done.has(this.#orderedOffsets[0] ?? -1)) this.#orderedOffsets.shift()
    }
  }

  #fail(error: unknown): void {
    this.#error ??= error
    this.#reading.abort()
    this.#working.abort(new CallRefused())
    this.#notify()
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}
