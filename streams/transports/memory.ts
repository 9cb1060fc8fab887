import { LeaseMembership } from './lease-membership.ts'
import { MemoryLog } from './memory-log.ts'
import { checkCompacted, checkPartition, checkTopicSpec, closedError, messageBytes, OutgoingCheck } from './outgoing.ts'
import { type LeaseStore, TaskClaim } from './task-claim.ts'
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

export { MemoryLog } from './memory-log.ts'

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
    for (const spec of specs) this.#log.create(spec)
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    this.#checkOpen()
    for (const name of names) this.#log.topics.delete(name)
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
    checkCompacted(topic)
    if (partition !== undefined) checkPartition(topic, partition)
    for (const message of [...topic.newest.values()]) {
      if (message.value !== null && (partition ?? message.partition) === message.partition) yield message
    }
  }

  async survey(compacted: string): Promise<Survey> {
    const topic = this.#log.topic(compacted)
    checkCompacted(topic)
    const topics = await this.topics()
    const bounds = topics.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => {
        return { topic: name, partition, start: 0, end: this.#log.partition(name, partition).messages.length }
      }),
    )
    const messages = [...topic.newest.values()].filter(message => message.value !== null)
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
