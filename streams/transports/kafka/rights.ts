import type { TaskSpec } from '../transport.ts'
import { toSituError, typeOf } from './broker-error.ts'
import type { Brokers } from './brokers.ts'
import { brokerNames } from './options.ts'
import { type Answer, int32, sendRaw, string } from './raw-request.ts'

/** Bits of the operations that a user is allowed, by Kafka's number of each operation. */
const operations = { Read: 3, Write: 4, Describe: 8, DescribeConfigs: 10 } as const
const topicRights = Object.entries(operations)
const topicUnauthorized = 29
const unknownTopic = 3

/** What is the matter with one topic, group or transactional id. */
export interface MissingRight {
  /** In the words of Kafka's ACLs, such as `topic situ.page`. */
  resource: string
  /** In the words of Kafka's ACLs, such as `Read`. */
  rights: string[]
}

interface TopicRights {
  missing: MissingRight[]
  /** Topics that the brokers don't have, as far as the user may know. */
  absent: string[]
}

/**
 * The rights that a user lacks on topics. Nothing is changed.
 *
 * @param topics - Names on the brokers.
 * @see https://kafka.apache.org/protocol Metadata, version 8
 */
export async function missingTopicRights(brokers: Brokers, topics: readonly string[]): Promise<TopicRights> {
  const flags = Buffer.from([0, 0, 1])
  const body = Buffer.concat([int32(topics.length), ...topics.map(string), flags])
  const found = await brokers.call('rights on topics', async () =>
    sendRaw(await brokers.any(), { apiKey: 3, apiVersion: 8, apiName: 'Metadata', body, read: readTopics }),
  )
  const place = new Map(topics.map((name, index) => [name, index]))
  found.sort((left, right) => (place.get(left.name) ?? 0) - (place.get(right.name) ?? 0))
  const missing = found.flatMap(({ name, errorCode, allowed }): MissingRight[] => {
    if (errorCode === unknownTopic) return []
    const rights = topicRights.filter(([, bit]) => errorCode === topicUnauthorized || !(allowed & (1 << bit)))
    return rights.length === 0 ? [] : [{ resource: `topic ${name}`, rights: rights.map(([right]) => right) }]
  })
  return { missing, absent: found.filter(({ errorCode }) => errorCode === unknownTopic).map(({ name }) => name) }
}

function readTopics(answer: Answer) {
  // Throttle time.
  answer.int32()
  answer.array(() => {
    answer.int32()
    answer.string()
    answer.int32()
    answer.string()
  })
  // Id of the cluster, and its controller.
  answer.string()
  answer.int32()
  return answer.array(() => {
    const errorCode = answer.int16()
    const name = answer.string()
    answer.take(1)
    answer.array(() => {
      // Error, number, leader and its epoch; then replicas: all, in sync, offline.
      answer.take(14)
      for (let lists = 0; lists < 3; lists++) answer.array(() => answer.int32())
    })
    return { errorCode, name, allowed: answer.int32() }
  })
}

/**
 * The rights that workers need on their group, on the groups that show lag, and on the transactional ids of tasks.
 *
 * Each is asked for by a request of nobody: a heartbeat of no member, the end of a transaction of no producer. The
 * brokers look at the right first, and then refuse: nothing is changed.
 */
export async function missingWorkerRights(brokers: Brokers, names: WorkerNames): Promise<MissingRight[]> {
  const missing: MissingRight[] = []
  for (const groupId of names.groups) {
    const beat = { groupId, groupGenerationId: 0, memberId: 'nobody' }
    const what = `group ${groupId}`
    const ask = async () => (await brokers.coordinator('group', groupId)).heartbeat(beat)
    if (await isUnauthorized(brokers, what, ask)) missing.push({ resource: what, rights: ['Read'] })
  }
  for (const transactionalId of names.transactionalIds) {
    // No producer has a negative number.
    const end = { transactionalId, producerId: '-2', producerEpoch: 0, transactionResult: false }
    const what = `transactional id ${transactionalId}`
    const ask = async () => (await brokers.coordinator('transaction', transactionalId)).endTxn(end)
    if (await isUnauthorized(brokers, what, ask)) missing.push({ resource: what, rights: ['Write'] })
  }
  return missing
}

export interface WorkerNames {
  groups: readonly string[]
  transactionalIds: readonly string[]
}

/** Names on the brokers that workers of these tasks use; of transactional ids one for each stage. */
export function namesOf(tasks: readonly TaskSpec[], prefix: string): WorkerNames {
  const first = [...new Map(tasks.map(({ id }) => [id.replace(/-\d+$/, ''), id])).values()]
  return {
    groups: [brokerNames.workers(prefix), ...first.map(id => brokerNames.lag(prefix, id))],
    transactionalIds: ['produce-check', ...first].map(name => brokerNames.transaction(prefix, name)),
  }
}

/** Any other refusal is what a right leads to here. @throws {SituError} BROKER_UNREACHABLE */
async function isUnauthorized(brokers: Brokers, what: string, ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await brokers.call(what, async () => {
      try {
        await ask()
      } catch (error) {
        if (!expected.includes(typeOf(error) ?? '')) throw error
      }
    })
    return false
  } catch (error) {
    const known = toSituError(error, what)
    if (known.code === 'BROKER_UNAUTHORIZED') return true
    throw known
  }
}

/** What a heartbeat of nobody, and an end of nothing, come to where they are allowed. */
const expected = [
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
  'INVALID_TXN_STATE',
  'CONCURRENT_TRANSACTIONS',
]
