import type { Noun, Place, Provenance, Records } from '../../schemas/records.ts'
import type { Pipeline } from '../pipeline.ts'
import { nounOfTopic } from '../topology.ts'
import type { Message } from '../transports/transport.ts'
import { readVariants } from '../variants.ts'

/** A record with where it lies. */
export interface Found {
  topic: string
  partition: number
  offset: number
  record: Records[Noun]
}

/** A record and what became of it. */
export interface Descendant extends Found {
  children: Descendant[]
}

/** Topics whose records are part of the chain, those of the main line first. */
async function chainTopics(pipeline: Pipeline): Promise<string[]> {
  const { topics } = await readVariants(pipeline)
  return topics.map(({ topic }) => topic).filter(topic => !['prompt', 'task', 'retry', 'variant'].includes(topic))
}

/** The record with this id, in whichever topic; null where there is none. */
export async function findRecord(pipeline: Pipeline, id: string): Promise<Found | null> {
  for (const topic of await chainTopics(pipeline)) {
    const message = await pipeline.transport.get(topic, id)
    if (message) return decode(pipeline, topic, message)
  }
  return null
}

/** The records that it was made from, the nearest first. */
export async function ancestors(pipeline: Pipeline, found: Found): Promise<Found[]> {
  const way: Found[] = []
  for (let place = inputOf(found); place; ) {
    const message = await readAt(pipeline, place)
    if (!message) break
    const next = await decode(pipeline, place.topic, message)
    way.push(next)
    place = inputOf(next)
  }
  return way
}

/** What became of it: outputs, drops and dead letters, and theirs, in all variants. */
export async function descendants(pipeline: Pipeline, found: Found, topics?: readonly string[]): Promise<Descendant> {
  const children: Descendant[] = []
  const chain = topics ?? (await chainTopics(pipeline))
  for (const topic of chain) {
    for await (const message of pipeline.transport.children(topic, found.record.id)) {
      if (message.value === null) continue
      const child = await decode(pipeline, topic, message)
      // The same work in two variants has the same id: each has children of its own.
      if ((inputOf(child)?.topic ?? found.topic) !== found.topic) continue
      children.push(await descendants(pipeline, child, chain))
    }
  }
  return { ...found, children }
}

/** The kept record that a near-duplicate repeats: a twin may itself have been dropped for another. */
export async function keptTwin(pipeline: Pipeline, dropped: Records['dropped']): Promise<string | null> {
  const seen = new Set<string>()
  let { twin } = dropped
  while (twin && !seen.has(twin)) {
    seen.add(twin)
    let last: Records['dropped'] | null = null
    for await (const { value } of pipeline.transport.children('dropped', twin)) {
      const further = await pipeline.serde.decode('dropped', value)
      if (further.variant === dropped.variant) last = further
    }
    if (!last) return twin
    twin = last.twin
  }
  return dropped.twin
}

/** How a model-made record came to be; null for the others. */
export function provenanceOf({ record }: Found): Provenance | null {
  return 'provenance' in record ? record.provenance : null
}

/** Where the input of a record lies; null at the beginning of the chain. */
export function inputOf({ record }: Found): Place | null {
  if ('place' in record) return record.place
  if ('input' in record && typeof record.input === 'object') return record.input
  return 'provenance' in record ? (record.provenance?.input ?? null) : null
}

export async function readAt({ transport }: Pipeline, { topic, partition, offset }: Place): Promise<Message | null> {
  for await (const { messages } of transport.read(topic, partition, offset, { maxMessages: 1 })) {
    return messages.find(message => message.offset === offset) ?? null
  }
  return null
}

async function decode({ serde }: Pipeline, topic: string, message: Message): Promise<Found> {
  const { partition, offset, value } = message
  return { topic, partition, offset, record: await serde.decode(nounOfTopic(topic), value) }
}
