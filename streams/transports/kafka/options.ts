import type { KafkaConfig, SASLOptions } from 'kafkajs'
import type { Logger } from '../../log.ts'
import { openSocket, type SocketFactory } from './sockets.ts'

export interface TopicSettings {
  /** Default 1; 3 in a cluster that shall survive a broker. */
  replication?: number
  /** Largest message that the topic takes; default: the broker's. */
  maxMessageBytes?: number
  /** How long messages of a topic that is not compacted are kept; default: the broker's. */
  retentionMs?: number
  /** Further settings of every topic, in Kafka's words. */
  config?: Readonly<Record<string, string>>
}

export interface KafkaOptions {
  /** `host:port` of some brokers; the others are found through them. */
  brokers: readonly string[]
  /** Topics, transactional ids and groups begin with it; workers with the same one share the tasks. */
  prefix: string
  clientId?: string
  /** True for the system's certificates, or a CA, a client certificate and its key. */
  ssl?: NonNullable<KafkaConfig['ssl']>
  sasl?: SASLOptions
  topicSettings?: TopicSettings
  /** A silent worker's tasks go to others after this long; default 6,000, the least that a broker takes by default. */
  sessionTimeoutMs?: number
  /** The others have this long to join anew when a member comes or goes; default 10,000. */
  rebalanceTimeoutMs?: number
  /** Default 500. */
  heartbeatMs?: number
  /** How long a waiting read stays with the broker; default 100. */
  maxWaitMs?: number
  /** How long a killed worker's open transaction may hide what others have committed; default 10,000. */
  transactionTimeoutMs?: number
  /** How long one request may go unanswered; default 15,000. */
  requestTimeoutMs?: number
  /** How long `openKafka` waits for a broker; default 10,000. */
  connectTimeoutMs?: number
  /** How long a call waits for brokers that were there and are gone; default 600,000. */
  outageMs?: number
  /** Makes the connections; tests break them by it. Default: TCP or TLS. */
  socketFactory?: SocketFactory
  /** Where the workers of this machine see each other's death; default null: the group waits for the session's end. */
  rollFolder?: string | null
  log?: Pick<Logger, 'debug' | 'warn'>
  /** Waits between heartbeats; tests let a worker fall silent by it. Default: a timer. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

type Connecting = 'ssl' | 'sasl'
/**
 * Names on the brokers. A dot stands behind the prefix, and none in what follows: a task of one prefix never has the
 * transactional id of another's, which would put that one's owner out.
 */
export const brokerNames = {
  /** The group whose members share the tasks. */
  workers: (prefix: string) => `${prefix}.workers`,
  /** The group that shows how far a stage is, for lag tools. */
  lag: (prefix: string, taskId: string) => `${prefix}.${taskId.replace(/-\d+$/, '')}`,
  transaction: (prefix: string, writer: string) => `${prefix}.${writer}`,
}

export type Settings = Required<Omit<KafkaOptions, Connecting>> & Pick<KafkaOptions, Connecting>

export function settingsOf(options: KafkaOptions): Settings {
  return {
    clientId: 'situ',
    topicSettings: {},
    sessionTimeoutMs: 6000,
    rebalanceTimeoutMs: 10_000,
    heartbeatMs: 500,
    maxWaitMs: 100,
    transactionTimeoutMs: 10_000,
    requestTimeoutMs: 15_000,
    connectTimeoutMs: 10_000,
    outageMs: 600_000,
    rollFolder: null,
    log: { debug: () => {}, warn: () => {} },
    pause: wait,
    socketFactory: openSocket,
    ...options,
  }
}

/** Resolves after the time, or when it is aborted. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal?.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** Waits for something, but not longer than this; the timer is gone when it ends. What it rejects with is ignored. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController()
  const end = () => ended.abort()
  work.then(end, end)
  await wait(ms, ended.signal)
}
