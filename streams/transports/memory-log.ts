import { ChangeSignal } from './change-signal.ts'
import { checkPartition, unknownTopic } from './outgoing.ts'
import type { Lease } from './task-claim.ts'
import type { Message, OutgoingMessage, TopicSpec } from './transport.ts'

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

  create({ name, partitions, compacted }: TopicSpec): void {
    if (this.topics.has(name)) return
    const log = Array.from({ length: partitions }, (): Partition => ({ messages: [] }))
    this.topics.set(name, { name, partitions, compacted, log, newest: new Map(), children: new Map() })
  }

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
