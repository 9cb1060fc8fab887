import type { ErrorCode } from '../../schemas/errors.ts'
import type { Counters } from '../../schemas/records.ts'
import type { Clock } from '../clock.ts'
import type { InputEvent } from '../inputs/read-inputs.ts'
import { Pace } from '../task/pace.ts'
import { emptyCounters, finished } from '../task/task-record.ts'
import type { OutgoingMessage } from '../transports/transport.ts'
import { IngestMessages, type IngestPorts } from './ingest-messages.ts'
import type { IngestNoun } from './ingest-records.ts'

export interface IngestOptions {
  /** Makes the id of the task record: one ingest, one record. No other ingest has it. */
  name: string
  as: IngestNoun
  /** Inputs taken, faults among them; null for all. */
  limit: number | null
  maxBatchRecords: number
  maxBatchBytes: number
  /** Longest time that a record waits for others of its batch. */
  maxWaitMs: number
  /** Called for each event, before it is written. */
  onEvent?: (event: InputEvent) => void
  /** Called after each commit, with the counts so far. */
  onCommit?: (counts: IngestCounts) => void
}

export const defaultIngestOptions: Omit<IngestOptions, 'name'> = {
  as: 'page',
  limit: null,
  maxBatchRecords: 500,
  maxBatchBytes: 4 * 1024 * 1024,
  maxWaitMs: 100,
}

/** in = done + alreadyThere + sum(failed). What could not be opened is no input. */
export interface IngestCounts {
  in: number
  done: number
  /** Pages that are there already, and faults that stand already. */
  alreadyThere: number
  failed: Record<string, number>
  unreadable: number
}

/** Messages whose absence from the topic means the same outcome: only so does one count tell what was there already. */
interface Batch {
  /** Code of the faults; null for records. */
  code: ErrorCode | null
  /** By id: the same content twice in a batch is written once. */
  messages: Map<string, OutgoingMessage>
  inputs: number
}

/**
 * Writes what an input holds into `page` or another topic that takes it, and what could not be read of it into `failed`.
 *
 * A batch is one atomic step with the task record, whose counters go on from batch to batch; a crash repeats no more
 * than the batch it met, and its records are then there already. A page's id is the hash of its content alone; a
 * fault's that of its place, code and bytes, so the same broken file twice is one dead letter and another input at
 * the same place is another. Each record names the ingest as its parent: those of other producers have none.
 */
export class Ingest {
  readonly #ports: IngestPorts
  readonly #options: IngestOptions
  readonly #messages: IngestMessages
  #counters: Counters = emptyCounters()
  #unreadable = 0
  #commits = 0
  readonly #pace: Pace
  #taken = 0
  #batches = new Map<ErrorCode | null, Batch>()
  #waiting = 0
  #waitingBytes = 0

  constructor(ports: IngestPorts, options: IngestOptions) {
    this.#ports = ports
    this.#options = options
    this.#messages = new IngestMessages(ports, options.name, options.as)
    this.#pace = new Pace(ports.clock.now(), 0)
  }

  /** What is committed. */
  get counts(): IngestCounts {
    const { in: taken, done, dropped, failed } = this.#counters
    return { in: taken, done, alreadyThere: dropped.already_there ?? 0, failed, unreadable: this.#unreadable }
  }

  /**
   * Takes all events, to the end, to the limit, or until the signal is aborted; then writes what is left. Called once.
   *
   * @param read - Begins the reading. Its signal is also aborted when this ends for another reason.
   * @throws {SituError} Of the transport and of the reading. What was committed before stays.
   */
  async run(read: (signal: AbortSignal) => AsyncIterable<InputEvent>, signal: AbortSignal): Promise<IngestCounts> {
    const { serde, topicName } = this.#ports
    for (const noun of [this.#options.as, 'failed', 'task'] as const) {
      await serde.register(`${topicName(noun)}-value`, noun)
    }
    const reading = new AbortController()
    const events = read(AbortSignal.any([signal, reading.signal]))[Symbol.asyncIterator]()
    try {
      await this.#takeAll(events)
    } finally {
      reading.abort()
      // Not waited for: a read of silent input may be under way.
      Promise.resolve(events.return?.()).catch(() => {})
    }
    return this.counts
  }

  async #takeAll(events: AsyncIterator<InputEvent>): Promise<void> {
    const { limit, maxWaitMs } = this.#options
    let next: Promise<IteratorResult<InputEvent>> | null = null
    let wait: Wait | null = null
    try {
      while (limit === null || this.#taken < limit) {
        next ??= events.next()
        const result: IteratorResult<InputEvent> | 'due' = await (wait ? Promise.race([next, wait.due]) : next)
        if (result === 'due') {
          await this.#flush()
        } else {
          next = null
          if (result.done) break
          await this.#take(result.value)
        }
        if (this.#waiting === 0) {
          wait?.end()
          wait = null
        } else {
          wait ??= new Wait(this.#ports.clock, maxWaitMs)
        }
      }
    } finally {
      wait?.end()
      // Also where the reading failed: what was read before is kept.
      await this.#flush()
    }
  }

  async #take(event: InputEvent): Promise<void> {
    this.#options.onEvent?.(event)
    if (event.kind === 'unreadable') {
      this.#unreadable++
      return
    }
    this.#taken++
    const { code, message } = this.#messages.of(event)
    const size = message.key.length + (message.value?.length ?? 0)
    if (this.#waiting > 0 && this.#waitingBytes + size > this.#options.maxBatchBytes) await this.#flush()
    const batch = this.#batches.get(code) ?? { code, messages: new Map(), inputs: 0 }
    this.#batches.set(code, batch)
    batch.messages.set(message.key, batch.messages.get(message.key) ?? message)
    batch.inputs++
    this.#waiting++
    this.#waitingBytes += size
    if (this.#waiting >= this.#options.maxBatchRecords) await this.#flush()
  }

  async #flush(): Promise<void> {
    const batches = this.#batches
    this.#batches = new Map()
    this.#waiting = 0
    this.#waitingBytes = 0
    for (const batch of batches.values()) {
      const pace = this.#pace.at(this.#ports.clock.now())
      const work = { commits: this.#commits + 1, taken: 1, ...pace, waiting: null, openings: null }
      const finish = (count: number) => this.#messages.task(countersAfter(this.#counters, batch, count), work)
      const alreadyThere = await this.#ports.transport.produce([...batch.messages.values()], finish)
      this.#counters = countersAfter(this.#counters, batch, alreadyThere)
      this.#commits++
      this.#pace.note(this.#ports.clock.now(), finished(this.#counters))
      this.#options.onCommit?.(this.counts)
    }
  }
}

/** The time that the first record of a batch waits. */
class Wait {
  readonly due: Promise<'due'>
  readonly #ended = new AbortController()

  constructor(clock: Clock, ms: number) {
    this.due = clock.sleep(ms, this.#ended.signal).then(() => 'due')
  }

  end(): void {
    this.#ended.abort()
  }
}

/** Counts what an ingest would read, with what is there already counted as done: nothing is written or opened. */
export async function dryRun(
  events: AsyncIterable<InputEvent>,
  { limit, onEvent }: Pick<IngestOptions, 'limit' | 'onEvent'>,
): Promise<IngestCounts> {
  const counts: IngestCounts = { in: 0, done: 0, alreadyThere: 0, failed: {}, unreadable: 0 }
  for await (const event of events) {
    onEvent?.(event)
    if (event.kind === 'unreadable') {
      counts.unreadable++
      continue
    }
    counts.in++
    if (event.kind === 'item') counts.done++
    else counts.failed[event.code] = (counts.failed[event.code] ?? 0) + 1
    if (counts.in === limit) break
  }
  return counts
}

function countersAfter(before: Counters, { code, messages, inputs }: Batch, alreadyThere: number): Counters {
  const fresh = messages.size - alreadyThere
  const repeats = inputs - fresh
  const after: Counters = { ...before, in: before.in + inputs }
  if (repeats > 0) after.dropped = { already_there: (before.dropped.already_there ?? 0) + repeats }
  if (code === null) {
    after.done += fresh
    after.out += fresh
  } else if (fresh > 0) {
    after.failed = { ...before.failed, [code]: (before.failed[code] ?? 0) + fresh }
  }
  return after
}
