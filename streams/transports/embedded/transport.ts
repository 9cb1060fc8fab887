import { setTimeout as sleep } from 'node:timers/promises'
import { Database } from '../../sqlite/database.ts'
import { LeaseFile, leasePath } from '../../sqlite/lease-file.ts'
import { LeaseMembership } from '../lease-membership.ts'
import { checkTopicSpec, closedError } from '../outgoing.ts'
import { type LeaseStore, TaskClaim } from '../task-claim.ts'
import type {
  Batch,
  Claim,
  Membership,
  Message,
  OutgoingMessage,
  ReadOptions,
  Survey,
  TaskSpec,
  TopicInfo,
  TopicSpec,
  Transport,
} from '../transport.ts'
import { logLayout } from './layout.ts'
import { MessageReader, maxPageMessages, type ScanPage } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'
import { RemovedMessages } from './removed-messages.ts'
import { Retention, type RetentionOptions } from './retention.ts'
import { TopicTable } from './topic-table.ts'

export interface EmbeddedOptions {
  /** Make the data folder where it is missing. */
  create: boolean
  /** For commands that only read; every write is then DATA_UNREADABLE. Default false. */
  readOnly?: boolean
  /** Default `Date.now`. */
  now?: () => number
  limits?: Partial<Transport['limits']>
  /** How long a write waits for other processes before DATA_IN_USE; default 30,000. */
  lockTimeoutMs?: number
  /** How often a membership tries for tasks that others hold; default 500. */
  retryHeldMs?: number
}

/**
 * Opens the log in `<folder>/situ.db`. Several processes may have it open at once, on one machine: the locks of a
 * network file system do not hold, and a folder on one gets damaged.
 *
 * @throws {SituError} DATA_UNREADABLE, DATA_CORRUPT, DATA_VERSION, DATA_IN_USE, DISK_FULL; each names the file.
 */
export async function openEmbedded(folder: string, options: EmbeddedOptions): Promise<EmbeddedTransport> {
  const { create, readOnly = false, lockTimeoutMs = 30_000 } = options
  return new EmbeddedTransport(await Database.open(folder, logLayout, { create, readOnly, lockTimeoutMs }), options)
}

/** A log in one SQLite file, for one machine. */
export class EmbeddedTransport implements Transport {
  readonly name = 'embedded'
  readonly limits: Transport['limits']
  /** The open file; the embedded registry keeps its tables there too. */
  readonly database: Database
  readonly #now: () => number
  readonly #retryHeldMs: number
  readonly #topics: TopicTable
  readonly #reader: MessageReader
  readonly #closing = new AbortController()
  readonly #members = new Set<LeaseMembership>()
  readonly #store: LeaseStore

  constructor(database: Database, options: Omit<EmbeddedOptions, 'create' | 'readOnly' | 'lockTimeoutMs'>) {
    this.database = database
    this.limits = { maxMessageBytes: 64 << 20, maxCommitBytes: 128 << 20, ...options.limits }
    this.#now = options.now ?? Date.now
    this.#retryHeldMs = options.retryHeldMs ?? 500
    this.#topics = new TopicTable(database)
    this.#reader = new MessageReader(database, this.#topics)
    this.#store = {
      read: (topic, partition, from, read) => this.read(topic, partition, from, read),
      write: (messages, finish, guard) => this.#write(messages, finish, guard),
      epochOf: task => this.#epochOf(task),
    }
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    for (const spec of specs) checkTopicSpec(spec)
    const isMissing = ({ name }: TopicSpec) => this.#topics.read(name) === null
    if (!(await this.#read(() => specs.some(isMissing)))) return
    await this.database.write(() => {
      for (const spec of specs) if (isMissing(spec)) this.#topics.create(spec)
    })
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    this.#checkOpen()
    await this.database.write(() => this.#topics.remove(names))
    await new RemovedMessages(this.database).delete()
  }

  topics(): Promise<TopicInfo[]> {
    return this.#read(() => this.#topics.all())
  }

  bounds(topic: string, partition: number): Promise<{ start: number; end: number }> {
    return this.#read(() => {
      const { start, next } = this.#topics.partition(topic, partition)
      return { start, end: next }
    })
  }

  offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    return this.#read(() => this.#reader.offsetAt(topic, partition, timestamp))
  }

  async *read(topic: string, partition: number, from: number, options: ReadOptions = {}): AsyncGenerator<Batch> {
    const { follow = false } = options
    const maxMessages = Math.max(1, Math.min(options.maxMessages ?? 500, maxPageMessages))
    const { start, end } = await this.bounds(topic, partition)
    const closing = this.#closing.signal
    const stop = options.signal ? AbortSignal.any([options.signal, closing]) : closing
    const place = `topic ${topic}, partition ${partition}`
    let position = Math.max(Math.trunc(from), start)
    while (!stop.aborted) {
      const seen = this.database.changes.count
      const until = follow ? null : end
      const batch = await this.#read(
        () => this.#reader.page(topic, partition, position, until, maxMessages),
        `${place}, offset ${position}`,
      )
      if (batch) {
        position = batch.next
        yield batch
        // Pages come without waiting: the timers and sockets of the process must have their turn too.
        await new Promise(resolve => setImmediate(resolve))
      } else if (follow) await this.database.changes.wait(seen, stop)
      else return
    }
  }

  compacted(topic: string, partition?: number): AsyncGenerator<Message> {
    return this.#scan(after => this.#reader.compactedPage(topic, partition, after), `topic ${topic}`)
  }

  children(topic: string, parent: string): AsyncGenerator<Message> {
    return this.#scan(after => this.#reader.childrenPage(topic, parent, after), `topic ${topic}`)
  }

  survey(compacted: string): Promise<Survey> {
    return this.#read(() => {
      const messages: Message[] = []
      let after: number | null = null
      do {
        const page: ScanPage = this.#reader.compactedPage(compacted, undefined, after)
        messages.push(...page.messages)
        after = page.after
      } while (after !== null)
      return { topics: this.#topics.all(), bounds: this.#topics.bounds(), messages }
    })
  }

  get(topic: string, key: string): Promise<Message | null> {
    return this.#read(() => this.#reader.get(topic, key), `topic ${topic}`)
  }

  async produce(messages: readonly OutgoingMessage[], finish?: (there: number) => OutgoingMessage): Promise<number> {
    return this.#write(messages, finish)
  }

  async join(tasks: readonly TaskSpec[], assigned: (claim: Claim) => void): Promise<Membership> {
    this.#checkOpen()
    const member = new LeaseMembership({
      tasks,
      assigned,
      take: task => this.#take(task),
      // Not all at the same moment, where several workers wait for one task.
      pause: signal => sleep(this.#retryHeldMs * (0.8 + 0.4 * Math.random()), undefined, { signal }).catch(() => {}),
    })
    this.#members.add(member)
    await member.start()
    return member
  }

  /**
   * Deletes old messages of the topics that are not compacted. The file keeps its size; the space is used again.
   *
   * @returns How many messages it deleted.
   */
  async applyRetention(options: RetentionOptions): Promise<number> {
    this.#checkOpen()
    return new Retention(this.database, this.#topics, options).apply(this.#now())
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort()
      for (const member of this.#members) await member.leave()
    }
    await this.database.close()
  }

  async *#scan(page: (after: number | null) => ScanPage, place: string): AsyncGenerator<Message> {
    let after: number | null = null
    do {
      const next: ScanPage = await this.#read(() => page(after), place)
      yield* next.messages
      after = next.after
    } while (after !== null)
  }

  async #take(task: TaskSpec): Promise<TaskClaim | null> {
    this.#checkOpen()
    const file = LeaseFile.tryTake(leasePath(this.database.folder, task.id))
    if (!file) return null
    try {
      const epoch = await this.database.write(() => this.#raiseEpoch(task.id))
      return new TaskClaim(task, { epoch, free: () => file.release() }, this.#store)
    } catch (error) {
      file.release()
      throw error
    }
  }

  #raiseEpoch(task: string): number {
    const sql = `INSERT INTO task (id, epoch) VALUES (?, 1)
      ON CONFLICT (id) DO UPDATE SET epoch = epoch + 1 RETURNING epoch`
    return Number(this.database.statement(sql).get(task)?.epoch)
  }

  #epochOf(task: string): number {
    return Number(this.database.statement('SELECT epoch FROM task WHERE id = ?').get(task)?.epoch ?? 0)
  }

  async #write(
    messages: readonly OutgoingMessage[],
    finish?: (alreadyThere: number) => OutgoingMessage,
    guard?: () => void,
  ): Promise<number> {
    this.#checkOpen()
    return this.database.write(() => {
      guard?.()
      return new MessageWriter(this.database, this.#topics, this.limits, this.#now()).append(messages, finish)
    })
  }

  async #read<T>(work: () => T, place?: string): Promise<T> {
    this.#checkOpen()
    return this.database.read(work, place)
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError(this.name)
  }
}
