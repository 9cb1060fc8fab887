import type { Brokers } from './brokers.ts'
import { readLogDirs } from './log-dirs.ts'
import type { LogReader } from './log-reader.ts'
import type { Broker } from './wire.ts'

export interface TopicBounds {
  topic: string
  partition: number
  start: number
  end: number
}

/**
 * Bytes of topics on disk: of the replica that leads each partition. A topic is left out of which the brokers don't
 * tell all, as where the user has no right to describe the cluster.
 *
 * @param topics - How many partitions each has.
 */
export async function topicBytes(brokers: Brokers, topics: ReadonlyMap<string, number>): Promise<Map<string, number>> {
  const leaders = await brokers.call('leaders of topics', () => findLeaders(brokers, topics))
  const wire = new Map([...topics].map(([topic, partitions]) => [brokers.wireName(topic), partitions]))
  const sizes = await Promise.all(
    [...leaders].map(async ([leader, own]) => {
      const found = await brokers.call('sizes of topics', () => readLogDirs(leader, wire))
      return found.filter(({ topic, partition }) => own.has(`${topic}/${partition}`))
    }),
  )
  const byTopic = Map.groupBy(sizes.flat(), ({ topic }) => topic)
  return new Map(
    [...topics].flatMap(([topic, partitions]): [string, number][] => {
      const found = byTopic.get(brokers.wireName(topic)) ?? []
      return found.length < partitions ? [] : [[topic, found.reduce((sum, { bytes }) => sum + bytes, 0)]]
    }),
  )
}

async function findLeaders(brokers: Brokers, topics: ReadonlyMap<string, number>): Promise<Map<Broker, Set<string>>> {
  const leaders = new Map<Broker, Set<string>>()
  for (const [topic, partitions] of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      const leader = await brokers.leader(topic, partition)
      leaders.set(leader, (leaders.get(leader) ?? new Set()).add(`${brokers.wireName(topic)}/${partition}`))
    }
  }
  return leaders
}

/** Time of the last message of a partition, in milliseconds since 1970; null where it holds none. */
export async function newestTime(reader: LogReader, bounds: TopicBounds, signal: AbortSignal): Promise<number | null> {
  const { topic, partition, start, end } = bounds
  // The end of its transaction comes behind it, and behind that may come what was aborted.
  for (let back = 2; end > start; back *= 16) {
    const from = Math.max(start, end - back)
    let newest: number | null = null
    for await (const { messages } of reader.read(topic, partition, from, { signal, bounds })) {
      newest = messages.at(-1)?.timestamp ?? newest
    }
    if (newest !== null || from === start || signal.aborted) return newest
  }
  return null
}
