import { SituError } from '../../schemas/errors.ts'
import type { Variant } from '../../schemas/records.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Claim, OutgoingMessage } from '../transports/transport.ts'
import { variantMessage } from './replay.ts'
import { type Stage, tasksOf } from './topology.ts'
import type { Variants } from './variants.ts'

/** Longest that a group may take to tell whether the tasks are still ours. */
const confirmMs = 30_000

/** @throws {SituError} DATA_IN_USE where another worker has got one of the tasks; BROKER_UNREACHABLE */
export type CheckHeld = () => Promise<void>

/** Holds all tasks of the stages during the work, so that no worker writes to them meanwhile. */
export async function holding<T>(
  pipeline: Pipeline,
  stages: readonly Stage[],
  work: (checkHeld: CheckHeld) => Promise<T>,
): Promise<T> {
  const tasks = stages.flatMap(stage => tasksOf(stage, pipeline.partitions))
  const claims: Claim[] = []
  const membership = await pipeline.transport.join(tasks, claim => claims.push(claim))
  const checkHeld = async () => {
    const late = AbortSignal.timeout(confirmMs)
    await membership.confirm(late)
    if (late.aborted) throw new SituError('BROKER_UNREACHABLE', `the group has told nothing for ${confirmMs / 1000} s`)
    const lost = claims.filter(claim => claim.lost.aborted).map(({ task }) => task)
    const held = [...new Set([...lost, ...membership.held].map(({ id }) => id))]
    if (held.length === 0) return
    throw new SituError('DATA_IN_USE', `another worker has ${held.join(', ')}: end situ run or situ replay first`)
  }
  try {
    await checkHeld()
    return await work(checkHeld)
  } finally {
    await membership.leave()
  }
}

/**
 * Writes what stands in `variant`, and takes it back where a worker has got one of the tasks meanwhile: one who comes
 * reads the topic when it has its task, so that it finds what was written, or we find its coming.
 *
 * @param records - By the name of the line; null where it is gone.
 */
export async function writeHeld(
  pipeline: Pipeline,
  records: ReadonlyMap<string, Variant | null>,
  before: Variants,
  checkHeld: CheckHeld,
): Promise<void> {
  const write = (all: ReadonlyMap<string, Variant | null>) =>
    pipeline.transport.produce([...all].map(([name, record]) => lineMessage(pipeline, name, record)))
  await write(records)
  try {
    await checkHeld()
  } catch (error) {
    const lines = [before.main, ...before.others]
    await write(
      new Map([...records.keys()].map(name => [name, lines.find(line => line.name === name)?.record ?? null])),
    )
    throw error
  }
}

function lineMessage(pipeline: Pipeline, name: string, record: Variant | null): OutgoingMessage {
  const gone = { id: name, state: 'there' as const, stages: [], range: '{}', origin: null, time: 0 }
  const message = variantMessage(pipeline, record ?? gone)
  return record ? message : { ...message, value: null }
}
