import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Counters, Task } from '../../schemas/records.ts'
import { isIngestNoun } from '../ingest/ingest-records.ts'
import type { Claim, Transport } from '../transports/transport.ts'
import { Position } from './position.ts'
import type { RecordWorkerPorts } from './record-worker.ts'
import { finished } from './task-record.ts'

export interface StatePorts extends Pick<RecordWorkerPorts, 'binding' | 'serde' | 'log'> {
  transport: Transport
  claim: Claim
  /** Go on with another configuration than the one of earlier outputs. */
  acceptChange: boolean
  /** Go on where a topic begins though records have been deleted that the task had still to work. */
  acceptLoss: boolean
}

/** Where a task stands. */
export interface TaskState {
  positions: readonly Position[]
  /** Null for one that was never worked. */
  counters: Counters | null
  /** Null for a stage without state. */
  index: StatefulIndex | null
}

/**
 * Reads back what the commits of the task have left.
 *
 * @throws {SituError} CONFIGURATION_CHANGED; POSITION_LOST where its record can't be read or does not fit the topics.
 */
export async function readState(ports: StatePorts): Promise<TaskState> {
  const stored = await readRecord(ports)
  const { topics } = ports.claim.task
  const positions = await Promise.all(topics.map(topic => openPosition(topic, stored, ports)))
  if (!stored) await checkUnworked(ports)
  return { positions, counters: stored?.counters ?? null, index: await readIndex(ports) }
}

/**
 * Where the task goes on in a topic. One that it has never read, and retry, are begun where they begin: nothing that it had
 * to work is gone by that. Requests that are gone can be made again: their dead letters stand.
 */
async function openPosition(topic: string, stored: Task | null, ports: StatePorts): Promise<Position> {
  const { transport, claim, binding, log, acceptLoss } = ports
  const { id, partition } = claim.task
  const known = stored?.positions.find(position => position.topic === topic)
  const from = topic === binding.stage.input ? (binding.stage.from?.[partition] ?? 0) : 0
  const { start, end } = await transport.bounds(topic, partition)
  const topicId = (await transport.topicId?.(topic)) ?? null
  const { next, finished } = known ?? { next: from, finished: [] }
  // One of the same name may be longer than the position by now, and its first records would be left out.
  const isAnother = typeof known?.topicId === 'string' && topicId !== null && known.topicId !== topicId
  if (!isAnother && next >= start && (next <= end || !known))
    return new Position(topic, { topic, next, finished, topicId })
  const reason = isAnother ? 'was deleted and made anew' : `begins at ${start} and ends at ${end}`
  const facts = `${id}: its position is ${next}, but ${topic} ${reason}`
  if (known && topic !== 'retry' && !acceptLoss) throw new SituError('POSITION_LOST', facts)
  log[topic === 'retry' ? 'debug' : 'warn']({ task: id, topic, partition }, `${facts}; it goes on at ${start}`)
  if (isAnother || next > end) return new Position(topic, { topic, next: start, finished: [], topicId })
  const position = new Position(topic, { topic, next, finished, topicId })
  position.pass(start)
  return position
}

async function readRecord({ binding, transport, claim, serde, acceptChange }: StatePorts): Promise<Task | null> {
  const { id } = claim.task
  const message = await transport.get('task', id)
  if (!message) return null
  const stored = await serde.decodeOwn('task', message.value)
  if (!stored) {
    throw new SituError('POSITION_LOST', `${id}: the newest message under its key in topic task is no record`)
  }
  const isChanged = stored.configuration && stored.configuration !== binding.configuration
  if (isChanged && !acceptChange && finished(stored.counters) > 0) {
    throw new SituError('CONFIGURATION_CHANGED', `${id}: its configuration has changed since it was last worked`)
  }
  return stored
}

/** A task without a position has written nothing. */
async function checkUnworked({ transport, binding: { stage }, claim }: StatePorts): Promise<void> {
  // What is ingested too says nothing about this task.
  if (isIngestNoun(stage.operator.to)) return
  const output = (await transport.topics()).find(topic => topic.name === stage.output)
  if (output?.partitions === 1 && (output.written ?? 0) > 0) {
    throw new SituError('POSITION_LOST', `${claim.task.id}: ${output.name} has records, but the task has no position`)
  }
}

async function readIndex({ transport, claim, serde, log, binding }: StatePorts): Promise<StatefulIndex | null> {
  const { state } = binding.stage
  const index = binding.createIndex()
  if (!state || !index) return null
  for await (const { value, partition, offset } of transport.compacted(state, claim.task.partition)) {
    const entry = await serde.decodeOwn('signature', value)
    if (entry) index.restore(entry)
    else {
      const place = `${state}/${partition}/${offset}`
      log.warn({ topic: state, partition, offset }, `${place} is no entry of the index and is passed over`)
    }
  }
  return index
}
