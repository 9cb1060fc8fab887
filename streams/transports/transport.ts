/**
 * The Transport port: an ordered, partitioned log with atomic commits, in Kafka's words and with Kafka's semantics.
 *
 * Backends: memory.ts (tests), embedded/ (one SQLite file), kafka/. One conformance suite runs on all:
 * tests/contracts/transport.ts.
 */

export interface Message {
  topic: string
  partition: number
  /** Position in the partition; ascending, gaps are allowed. At most 2^53 - 1. */
  offset: number
  /** Milliseconds since 1970, UTC. */
  timestamp: number
  key: string | null
  /** Null is a tombstone: the key is deleted from a compacted topic. */
  value: Uint8Array | null
  /** Id of the record that this one was made from. */
  parent: string | null
}

/** A message to write. Key and partition are always explicit: a keyless one could be lost or doubled at a retry. */
export interface OutgoingMessage {
  topic: string
  partition: number
  key: string
  value: Uint8Array | null
  /** Id of the record that this one was made from, by which `children` finds it. */
  parent?: string | null
  /** A text that lies once, as UTF-8, in `value` and in other messages too: a backend may store it once. */
  shared?: string | null
  /** Leave the message out where the topic holds its key already; backends without an index write it. */
  ifAbsent?: boolean
  /** Milliseconds since 1970; default now. */
  timestamp?: number
}

export interface TopicSpec {
  name: string
  partitions: number
  /** Keep the newest message of each key only. */
  compacted: boolean
}

export interface TopicInfo extends TopicSpec {
  /** Messages that it holds; null where the backend can't tell without reading. */
  records: number | null
  /** Messages ever written to it; more than `records` after retention or compaction. */
  written: number | null
  /** Bytes of the keys and values that it holds; on Kafka those of its log on disk. Null as `records`. */
  bytes: number | null
  /** Timestamp of the newest message; null for an empty topic, and where the backend tells it in a survey only. */
  newest: number | null
}

export interface Batch {
  messages: Message[]
  /** Where to go on: behind the last message and any control or aborted records that follow it. */
  next: number
}

/** Several facts of one moment, so that what they add up to can be compared. */
export interface Survey {
  topics: TopicInfo[]
  bounds: { topic: string; partition: number; start: number; end: number }[]
  /** As `compacted` gives them. */
  messages: Message[]
}

export interface ReadOptions {
  signal?: AbortSignal
  /** Wait for more at the end (true), or end there (false, the default): at the end as it was at the call. */
  follow?: boolean
  /** At most this many messages a batch; default 500. */
  maxMessages?: number
}

/** One stage over one input partition: what one worker owns at a time. */
export interface TaskSpec {
  /** Key of the task: `<variant>-<stage>-<partition>`; the variant of the main line is `main`. */
  id: string
  stage: string
  partition: number
  /** The topics that it reads, all at this partition. */
  topics: readonly string[]
}

export interface TaskPosition {
  topic: string
  next: number
}

/**
 * A task that this worker owns. Its former owner is fenced: nothing that it has not committed yet will ever be, so
 * positions and state read after the claim are final.
 */
export interface Claim {
  readonly task: TaskSpec
  /** Raised at each take-over. */
  readonly epoch: number
  /** Aborted when another worker has taken the task over. */
  readonly lost: AbortSignal
  /** Reads one of the task's topics from an offset on, following. Ends when the signal is aborted or the task lost. */
  read(topic: string, from: number, options: Omit<ReadOptions, 'follow'>): AsyncIterable<Batch>
  /**
   * Writes all messages or none.
   *
   * @param finish - Makes the task record, once it is known how many `ifAbsent` messages were there already. It is
   * called within the step: quick and without side effects.
   * @param positions - For lag tools only; the authority is the task record.
   * @throws {SituError} TASK_LOST (nothing written), RECORD_TOO_LARGE, DISK_FULL, DATA_UNREADABLE.
   */
  commit(
    messages: readonly OutgoingMessage[],
    finish: (alreadyThere: number) => OutgoingMessage,
    positions: readonly TaskPosition[],
  ): Promise<void>
  release(): Promise<void>
}

export interface Membership {
  /** Wanted tasks that other workers hold now. */
  readonly held: readonly TaskSpec[]
  /**
   * Resolves when the claims show what was true at some moment after the call, or when it is aborted: one that is not
   * lost then had not gone to another worker before.
   */
  confirm(signal: AbortSignal): Promise<void>
  /** Releases every claim. */
  leave(): Promise<void>
}

/** What a transport counts of itself since it was opened, in the words of its metrics. */
export interface TransportMetrics {
  readonly rebalances?: number
  readonly restarts?: number
  readonly commitRetries?: number
}

export interface Transport {
  readonly name: 'memory' | 'embedded' | 'kafka'
  /** Left out where there is nothing to count. */
  readonly metrics?: TransportMetrics
  readonly limits: {
    /** Largest key + value of one message. */
    maxMessageBytes: number
    /** Largest sum of keys and values that one commit may write to one partition. */
    maxCommitBytes: number
    /** Inputs whose outcomes are best written in one commit, at most; left out where a commit holds up others. */
    commitRecords?: number
  }
  /** Makes what is not there. A topic that is there with other settings is left as it is. */
  createTopics(specs: readonly TopicSpec[]): Promise<void>
  /** Deletes topics with all that they hold; those that are not there are left out. Nobody may be working on them. */
  deleteTopics(names: readonly string[]): Promise<void>
  topics(): Promise<TopicInfo[]>
  /**
   * First offset that is there, and the offset behind the last one that a reader can see.
   *
   * @throws {SituError} TOPIC_UNKNOWN
   */
  bounds(topic: string, partition: number): Promise<{ start: number; end: number }>
  /**
   * What tells a topic from one of the same name that was deleted before; null where the log can't tell. Left out where
   * nobody but Situ deletes topics, which forgets what read them.
   *
   * @throws {SituError} TOPIC_UNKNOWN
   */
  topicId?(topic: string): Promise<string | null>
  /** Offset of the first message with this timestamp or a later one; the end where there is none. */
  offsetAt(topic: string, partition: number, timestamp: number): Promise<number>
  /**
   * Reads a partition in order, committed messages only. An offset below the start reads from the start.
   *
   * @throws {SituError} TOPIC_UNKNOWN, DATA_CORRUPT (with topic, partition and offset).
   */
  read(topic: string, partition: number, from: number, options?: ReadOptions): AsyncIterable<Batch>
  /** The newest message of each key of a compacted topic, tombstones left out; all partitions or one. */
  compacted(topic: string, partition?: number): AsyncIterable<Message>
  /** All topics, their bounds and the newest messages of one compacted topic: of one moment where the backend can. */
  survey(compacted: string): Promise<Survey>
  /** The newest message with this key; null where there is none or a tombstone. */
  get(topic: string, key: string): Promise<Message | null>
  /** The messages made from this record, in the order of their offsets. */
  children(topic: string, parent: string): AsyncIterable<Message>
  /**
   * Writes all messages or none, outside any task.
   *
   * @param finish - As in `Claim.commit`; null for no further message.
   * @returns How many `ifAbsent` messages were there already.
   */
  produce(messages: readonly OutgoingMessage[], finish?: (alreadyThere: number) => OutgoingMessage): Promise<number>
  /**
   * Takes those of the tasks that are free, and goes on trying for the others until it leaves.
   *
   * @param assigned - Called for each task taken; once per take-over.
   */
  join(tasks: readonly TaskSpec[], assigned: (claim: Claim) => void): Promise<Membership>
  /** Ends every reader and releases every claim. A second call does nothing. */
  close(): Promise<void>
}
