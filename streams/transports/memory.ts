import { ChangeSignal } from './change-signal.ts'
import { LeaseMembership } from './lease-membership.ts'
import { checkPartition, checkTopicSpec, closedError, messageBytes, OutgoingCheck, unknownTopic } from './outgoing.ts'
import { type Lease, type LeaseStore, TaskClaim } from './task-claim.ts'
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
} from './transport.ts'

interface Partition {
  /** By offset; a hole where compaction took a message away. */
  messages: (Message | undefined)[]
}

interface Topic extends TopicSpec {
  log: Partition[]
  /** The newest message of each key. */
  newest: Map<string, Message>
  children: Map<string, Message[]>
}

interface TaskLease {
  epoch: number
  owned: boolean
}

/** What lies behind one or several MemoryTransports: the "cluster" that several "processes" share. */
export class MemoryLog {
  readonly topics = new Map<string, Topic>()
  readonly tasks = new Map<string, TaskLease>()
  readonly written = new ChangeSignal()
  readonly freed = new ChangeSignal()

  topic(name: string): Topic {
    const topic = this.topics.get(name)
    if (!topic) throw unknownTopic(name)
    return topic
  }

  partition(name: string, partition: number): Partition {
    const topic = this.topic(name)
    checkPartition(topic, partition)
    return topic.log[partition] as Partition
  }

  /** Frees a task under its living owner, as where that has been silent for too long. */
  expire(task: string): void {
    const lease = this.tasks.get(task)
    if (lease) lease.owned = false
    this.freed.raise()
  }

  take(task: string): Lease | null {
    const lease = this.tasks.get(task) ?? { epoch: 0, owned: false }
    if (lease.owned) return null
    lease.owned = true
    const epoch = ++lease.epoch
    this.tasks.set(task, lease)
    const free = () => {
      if (lease.epoch === epoch) this.expire(task)
    }
    return { epoch, free }
  }

  append(message: OutgoingMessage, now: number): void {
    const topic = this.topic(message.topic)
    const { messages } = this.partition(message.topic, message.partition)
    const stored: Message = {
      topic: message.topic,
      partition: message.partition,
      offset: messages.length,
      timestamp: Math.max(message.timestamp ?? now, messages.at(-1)?.timestamp ?? 0),
      key: message.key,
      // A copy: the caller may use its buffer again.
      value: message.value ? Uint8Array.from(message.value) : null,
      parent: message.parent ?? null,
    }
    messages.push(stored)
    const older = topic.newest.get(message.key)
    if (topic.compacted && older) remove(topic, older)
    topic.newest.set(message.key, stored)
    if (stored.parent !== null) {
      const siblings = topic.children.get(stored.parent)
      if (siblings) siblings.push(stored)
      else topic.children.set(stored.parent, [stored])
    }
  }
}

function remove(topic: Topic, message: Message): void {
  const { messages } = topic.log[message.partition] as Partition
  messages[message.offset] = undefined
  if (message.parent === null) return
  const others = topic.children.get(message.parent)?.filter(child => child !== message) ?? []
  topic.children.set(message.parent, others)
}

/** A log in memory, for tests. Several transports on one log play several processes. */
export class MemoryTransport implements Transport {
  readonly name = 'memory'
  readonly limits: Transport['limits']
  readonly #log: MemoryLog
  readonly #now: () => number
  readonly #closing = new AbortController()
  readonly #members = new Set<LeaseMembership>()
  readonly #store: LeaseStore

  constructor(options: { log?: MemoryLog; now: () => number; limits?: Partial<Transport['limits']> }) {
    this.#log = options.log ?? new MemoryLog()
    this.#now = options.now
    this.limits = { maxMessageBytes: 64 << 20, maxCommitBytes: 64 << 20, ...options.limits }
    this.#store = {
      read: (topic, partition, from, read) => this.read(topic, partition, from, read),
      write: async (messages, finish, guard) => this.#write(messages, finish, guard),
      epochOf: task => this.#log.tasks.get(task)?.epoch ?? 0,
    }
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    this.#checkOpen()
    for (const spec of specs) checkTopicSpec(spec)
    for (const { name, partitions, compacted } of specs) {
      if (this.#log.topics.has(name)) continue
      const log = Array.from({ length: partitions }, (): Partition => ({ messages: [] }))
      this.#log.topics.set(name, { name, partitions, compacted, log, newest: new Map(), children: new Map() })
    }
  }

  async topics(): Promise<TopicInfo[]> {
    this.#checkOpen()
    return [...this.#log.topics.values()].map(({ name, partitions, compacted, log }) => {
      const all = log.flatMap(partition => partition.messages)
      const here = all.filter(message => message !== undefined)
      const live = compacted ? here.filter(message => message.value !== null) : here
      return {
        name,
        partitions,
        compacted,
        records: live.length,
        written: all.length,
        bytes: here.reduce((sum, message) => sum + messageBytes(message), 0),
        newest: here.reduce<number | null>((newest, { timestamp }) => Math.max(newest ?? 0, timestamp), null),
      }
    })
  }

  async bounds(topic: string, partition: number): Promise<{ start: number; end: number }> {
    this.#checkOpen()
    return { start: 0, end: this.#log.partition(topic, partition).messages.length }
  }

  async offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    this.#checkOpen()
    const { messages } = this.#log.partition(topic, partition)
    return messages.find(message => message !== undefined && message.timestamp >= timestamp)?.offset ?? messages.length
  }

  async *read(topic: string, partition: number, from: number, options: ReadOptions = {}): AsyncGenerator<Batch> {
    this.#checkOpen()
    const { messages } = this.#log.partition(topic, partition)
    const { follow = false, maxMessages = 500 } = options
    const closing = this.#closing.signal
    const stop = options.signal ? AbortSignal.any([options.signal, closing]) : closing
    const end = messages.length
    let position = Math.max(0, from)
    while (!stop.aborted) {
      const seen = this.#log.written.count
      const until = follow ? messages.length : end
      if (position < until) {
        const found: Message[] = []
        while (position < until && found.length < maxMessages) {
          const message = messages[position++]
          if (message) found.push(message)
        }
        yield { messages: found, next: position }
        await new Promise(resolve => setImmediate(resolve))
      } else if (follow) await this.#log.written.wait(seen, stop)
      else return
    }
  }

  async *compacted(name: string, partition?: number): AsyncGenerator<Message> {
    this.#checkOpen()
    const topic = this.#log.topic(name)
    if (partition !== undefined) checkPartition(topic, partition)
    for (const message of [...topic.newest.values()]) {
      if (message.value !== null && (partition ?? message.partition) === message.partition) yield message
    }
  }

  async survey(compacted: string): Promise<Survey> {
    const topics = await this.topics()
    const bounds = topics.flatMap(({ name: topic, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => {
        return { topic, partition, start: 0, end: this.#log.partition(topic, partition).messages.length }
      }),
    )
    const messages = [...this.#log.topic(compacted).newest.values()].filter(message => message.value !== null)
    return { topics, bounds, messages }
  }

  async get(topic: string, key: string): Promise<Message | null> {
    this.#checkOpen()
    const message = this.#log.topic(topic).newest.get(key)
    return message?.value == null ? null : message
  }

  async *children(topic: string, parent: string): AsyncGenerator<Message> {
    this.#checkOpen()
    const found = [...(this.#log.topic(topic).children.get(parent) ?? [])]
    yield* found.sort((left, right) => left.partition - right.partition || left.offset - right.offset)
  }

  async produce(messages: readonly OutgoingMessage[], finish?: (there: number) => OutgoingMessage): Promise<number> {
    return this.#write(messages, finish)
  }

  async join(tasks: readonly TaskSpec[], assigned: (claim: Claim) => void): Promise<Membership> {
    this.#checkOpen()
    const { freed } = this.#log
    let seen = freed.count
    const member = new LeaseMembership({
      tasks,
      assigned,
      take: async task => {
        this.#checkOpen()
        const lease = this.#log.take(task.id)
        return lease && new TaskClaim(task, lease, this.#store)
      },
      pause: async signal => {
        await freed.wait(seen, signal)
        seen = freed.count
      },
    })
    this.#members.add(member)
    await member.start()
    return member
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    for (const member of this.#members) await member.leave()
  }

  #write(
    messages: readonly OutgoingMessage[],
    finish?: (alreadyThere: number) => OutgoingMessage,
    guard?: () => void,
  ): number {
    this.#checkOpen()
    guard?.()
    const check = new OutgoingCheck(this.limits, name => this.#log.topic(name))
    const wanted: OutgoingMessage[] = []
    const inBatch = new Map<string, boolean>()
    let alreadyThere = 0
    const plan = (message: OutgoingMessage) => {
      check.check(message)
      const place = `${message.topic}\n${message.key}`
      const stored = () => this.#log.topic(message.topic).newest.get(message.key)?.value != null
      if (message.ifAbsent && (inBatch.get(place) ?? stored())) return false
      inBatch.set(place, message.value !== null)
      return wanted.push(message) > 0
    }
    for (const message of messages) if (!plan(message)) alreadyThere++
    if (finish) plan(finish(alreadyThere))
    for (const message of wanted) this.#log.append(message, this.#now())
    if (wanted.length > 0) this.#log.written.raise()
    return alreadyThere
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError(this.name)
  }
}
