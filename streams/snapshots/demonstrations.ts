import {
  builtInSnapshot,
  createSnapshot,
  type Demonstration,
  type DemonstrationSnapshot,
  parseSnapshot,
  toDemonstration,
} from '../../operators/demonstrations.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Prompt as PromptRecord, Snapshot } from '../../schemas/records.ts'
import { partitionOf, type Stage } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import type { Config } from '../config/config.ts'
import type { Logger } from '../log.ts'
import type { Pipeline } from '../pipeline.ts'
import { readStanding } from '../standing-records.ts'
import type { OutgoingMessage } from '../transports/transport.ts'
import { keptText, snapshotTexts } from './snapshot-text.ts'

/** Built-in demonstrations fill a snapshot up to their own number. */
const least = () => builtInSnapshot().demonstrations.length

/** A snapshot with what is told of it. */
export interface MadeSnapshot {
  snapshot: DemonstrationSnapshot
  record: Snapshot
}

/**
 * Makes a snapshot of the demonstrations that are there now; built-in ones fill up while there are fewer than 24.
 *
 * It depends on the set of demonstrations alone: not on the partitions that they lie in, nor on the order in which they
 * were made. Writes nothing.
 *
 * @returns `unusable`: those left out since a field is empty.
 * @param limit - Demonstrations of the topic at most: those whose ids come first, which is as good as drawn by lot.
 */
export async function makeSnapshot(
  pipeline: Pipeline,
  limit: number | null,
  live = false,
): Promise<MadeSnapshot & { unusable: number }> {
  const topic = (await readVariants(pipeline)).topicOf('demonstration')
  const { found, ends, unusable } = await readDemonstrations(pipeline, topic)
  const taken = [...found.values()].sort((left, right) => (left.id < right.id ? -1 : 1)).slice(0, limit ?? undefined)
  const more = builtInSnapshot()
    .demonstrations.filter(({ id }) => !taken.some(own => own.id === id))
    .slice(0, Math.max(0, least() - taken.length))
  const snapshot = taken.length === 0 ? builtInSnapshot() : createSnapshot([...taken, ...more])
  const record = { ...describe(snapshot, more.length, pipeline), topic, ends, live }
  return { snapshot, record, unusable }
}

function describe({ hash, demonstrations }: DemonstrationSnapshot, builtIn: number, { clock }: Pipeline): Snapshot {
  const count = demonstrations.length
  return { id: hash, demonstrations: count, builtIn, topic: null, ends: [], live: false, time: clock.now(), pinned: 0 }
}

async function readDemonstrations(
  { transport, serde, partitions }: Pipeline,
  topic: string,
): Promise<{ found: Map<string, Demonstration>; ends: number[]; unusable: number }> {
  const found = new Map<string, Demonstration>()
  const ends: number[] = []
  let unusable = 0
  if (!(await transport.topics()).some(({ name }) => name === topic)) return { found, ends, unusable }
  for (let partition = 0; partition < partitions; partition++) {
    const { end } = await transport.bounds(topic, partition)
    ends.push(end)
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value, offset } of messages) {
        const record = offset < end ? await serde.decodeOwn('demonstration', value) : null
        if (!record) continue
        const demonstration = toDemonstration(record)
        if (demonstration) found.set(demonstration.id, demonstration)
        else unusable++
      }
    }
  }
  return { found, ends, unusable }
}

/**
 * The snapshot that a run of these stages draws from, as configured; null where none of them draws.
 *
 * @throws {SituError} As `chooseSnapshot`.
 */
export async function snapshotFor(
  stages: readonly Stage[],
  pipeline: Pipeline,
  { settings }: Pick<Config, 'settings'>,
): Promise<MadeSnapshot | null> {
  return stages.some(({ operator }) => operator.demonstrations)
    ? chooseSnapshot(pipeline, settings.demonstrations)
    : null
}

/**
 * A snapshot as it may be asked for.
 *
 * @param wanted - pinned, live (made now, and not kept yet), built-in or a hash.
 * @throws {SituError} CONFIGURATION_INVALID for a hash that is none.
 */
export async function chooseSnapshot(pipeline: Pipeline, wanted: string): Promise<MadeSnapshot> {
  if (wanted === 'live') return makeSnapshot(pipeline, null, true)
  const known = await listSnapshots(pipeline)
  const builtIn = builtInSnapshot()
  const id = wanted === 'pinned' ? known.find(({ pinned }) => pinned > 0)?.id : wanted
  const record = known.find(snapshot => snapshot.id === id)
  if (record) return { snapshot: await readSnapshot(pipeline, record.id), record }
  if (id !== undefined && id !== 'built-in' && id !== builtIn.hash) {
    const way = 'situ demonstrations lists those that there are'
    throw new SituError('CONFIGURATION_INVALID', `--demonstrations ${id}: there is no such snapshot; ${way}`)
  }
  return { snapshot: builtIn, record: describe(builtIn, builtIn.demonstrations.length, pipeline) }
}

/** Such as `snapshot 0f3a… of 24 demonstrations, 14 of them built in`. */
export function describeSnapshot({ id, demonstrations, builtIn }: Snapshot): string {
  return `snapshot ${id} of ${demonstrations} demonstrations, ${builtIn} of them built in`
}

/** Before a run: keeps a live one, and says which it is unless all are built in. */
export async function useSnapshot(pipeline: Pipeline, made: MadeSnapshot | null, log: Logger): Promise<void> {
  if (!made) return
  const { id, demonstrations, builtIn, live } = made.record
  if (live) await keepSnapshot(pipeline, made)
  if (builtIn < demonstrations || live)
    log.info({ snapshot: id, demonstrations, builtIn }, describeSnapshot(made.record))
}

/** All snapshots, the one pinned last first, then the newest. */
export async function listSnapshots(pipeline: Pick<Pipeline, 'transport' | 'serde'>): Promise<Snapshot[]> {
  const found = await readStanding(pipeline, 'snapshot')
  return found.sort((left, right) => right.pinned - left.pinned || right.time - left.time)
}

/**
 * Keeps a snapshot under its hash, the text first: who sees the record can read the text.
 *
 * @param pin - Makes it the one that runs use from now on, on whatever machine.
 */
export async function keepSnapshot(pipeline: Pipeline, { snapshot, record }: MadeSnapshot, pin = false): Promise<void> {
  for (const text of snapshotTexts(snapshot)) await pipeline.transport.produce([textMessage(pipeline, text)])
  const known = (await listSnapshots(pipeline)).find(({ id }) => id === record.id)
  if (known && !pin) return
  const kept = known ?? record
  const pinned = pin ? pipeline.clock.now() : kept.pinned
  const value = pipeline.serde.encode('snapshot', { ...kept, pinned }).value
  const partition = partitionOf('snapshot', record, pipeline.partitions)
  await pipeline.transport.produce([{ topic: 'snapshot', partition, key: record.id, value }])
}

/** A text for the topic `prompt`. */
export function textMessage({ serde, partitions }: Pipeline, text: PromptRecord): OutgoingMessage {
  const partition = partitionOf('prompt', text, partitions)
  return { topic: 'prompt', partition, key: text.id, value: serde.encode('prompt', text).value, ifAbsent: true }
}

/**
 * A snapshot by its hash, from the topic `prompt`.
 *
 * @throws {SituError} DATA_UNREADABLE where its text is no longer there.
 */
export async function readSnapshot({ transport, serde }: Pipeline, hash: string): Promise<DemonstrationSnapshot> {
  const builtIn = builtInSnapshot()
  if (hash === builtIn.hash) return builtIn
  const text = await keptText(hash, async id => {
    const message = await transport.get('prompt', id)
    if (!message) throw new SituError('DATA_UNREADABLE', `text ${id} is no longer in the topic prompt`)
    return (await serde.decode('prompt', message.value)).text
  })
  return parseSnapshot(text, `snapshot ${hash}`)
}
