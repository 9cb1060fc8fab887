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
  const { stage } = ports.binding
  const { partition, topics } = ports.claim.task
  const positions = topics.map(topic => {
    const first = { topic, next: topic === stage.input ? (stage.from?.[partition] ?? 0) : 0, finished: [] }
    return new Position(topic, stored?.positions.find(position => position.topic === topic) ?? first)
  })
  if (stored) await checkPositions(positions, ports)
  else await checkUnworked(ports)
  return { positions, counters: stored?.counters ?? null, index: await readIndex(ports) }
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

async function checkPositions(positions: readonly Position[], { transport, claim }: StatePorts): Promise<void> {
  for (const { topic, next } of positions) {
    // Requests that are gone can be made again: their dead letters stand.
    if (topic === 'retry') continue
    const { start, end } = await transport.bounds(topic, claim.task.partition)
    if (next > end || next < start) {
      const rule = `${topic} holds offsets ${start} to ${end - 1}`
      throw new SituError('POSITION_LOST', `${claim.task.id}: its position is ${next}, but ${rule}`)
    }
  }
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
