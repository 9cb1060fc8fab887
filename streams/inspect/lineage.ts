import type { Noun, Place, Provenance, Records } from '../../schemas/records.ts'
import { nounOfTopic, ownProvenance, stages } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { identify } from '../identity.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Message } from '../transports/transport.ts'

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
  return topics
    .map(({ topic }) => topic)
    .filter(topic => !['prompt', 'snapshot', 'task', 'retry', 'variant'].includes(topic))
}

/** The record with this id, in whichever topic; null where there is none. */
export async function findRecord(pipeline: Pipeline, id: string): Promise<Found | null> {
  const topics = await chainTopics(pipeline)
  for (const topic of topics) {
    const message = await pipeline.transport.get(topic, id)
    if (message) return decode(pipeline, topic, message)
  }
  return findForeign(pipeline, topics, id)
}

/** What others wrote has any key: it is found by what became of it. */
async function findForeign(pipeline: Pipeline, topics: readonly string[], id: string): Promise<Found | null> {
  for (const topic of topics) {
    for await (const child of pipeline.transport.children(topic, id)) {
      const place = child.value && inputOf(await decode(pipeline, topic, child))
      const message = place?.id === id && topics.includes(place.topic) ? await readAt(pipeline, place) : null
      if (place && message) return decode(pipeline, place.topic, message)
    }
  }
  return null
}

/** The records that it was made from, the nearest first. */
export async function ancestors(pipeline: Pipeline, found: Found): Promise<Found[]> {
  const way: Found[] = []
  const seen = new Set([placeOf(found)])
  const chain = await chainTopics(pipeline)
  for (let place = inputOf(found); place; ) {
    // What a foreign producer wrote into a record may point anywhere.
    const message = chain.includes(place.topic) ? await readAt(pipeline, place) : null
    if (!message || seen.has(placeOf(message))) break
    seen.add(placeOf(message))
    const next = await decode(pipeline, place.topic, message)
    way.push(next)
    place = inputOf(next)
  }
  return way
}

/** What became of it: outputs, drops and dead letters, and theirs, in all variants. */
export async function descendants(
  pipeline: Pipeline,
  found: Found,
  topics?: readonly string[],
  seen = new Set<string>(),
): Promise<Descendant> {
  const children: Descendant[] = []
  const chain = topics ?? (await chainTopics(pipeline))
  seen.add(placeOf(found))
  for (const topic of chain) {
    for await (const message of pipeline.transport.children(topic, found.record.id)) {
      if (message.value === null || seen.has(placeOf(message))) continue
      const child = await decode(pipeline, topic, message)
      // The same work in two variants has the same id: each has children of its own.
      if ((inputOf(child)?.topic ?? found.topic) !== found.topic) continue
      children.push(await descendants(pipeline, child, chain, seen))
    }
  }
  return { ...found, children }
}

function placeOf({ topic, partition, offset }: Pick<Message, 'topic' | 'partition' | 'offset'>): string {
  return `${topic}/${partition}/${offset}`
}

/** The kept record that a near-duplicate repeats: a twin may itself have been dropped for another. */
export async function keptTwin(pipeline: Pipeline, dropped: Records['dropped']): Promise<string | null> {
  const seen = new Set<string>()
  let { twin } = dropped
  while (twin !== null && !seen.has(twin)) {
    seen.add(twin)
    const further = await twinOf(pipeline, twin, dropped)
    if (further === null) return twin
    twin = further
  }
  return dropped.twin
}

/** The twin that a stage dropped this record for; null where it did not drop it for one. */
async function twinOf(
  pipeline: Pipeline,
  id: string,
  { operator, variant }: Pick<Records['dropped'], 'operator' | 'variant'>,
): Promise<string | null> {
  let twin: string | null = null
  for await (const { value } of pipeline.transport.children('dropped', id)) {
    const dropped = await pipeline.serde.decodeOwn('dropped', value)
    if (dropped?.operator === operator && dropped.variant === variant) twin = dropped.twin
  }
  return twin
}

/** How a model-made record came to be; null for the others. */
export function provenanceOf({ topic, record }: Found): Provenance | null {
  const noun = nounOfTopic(topic)
  return ownProvenance(stages.find(({ operator }) => operator.to === noun)?.operator, record)
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
  const noun = nounOfTopic(topic)
  return { topic, partition, offset, record: identify(noun, await serde.decode(noun, value)) }
}
