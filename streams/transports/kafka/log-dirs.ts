import { type Answer, int32, sendRaw, string } from './raw-request.ts'
import type { Broker } from './wire.ts'

export interface PartitionSize {
  /** Name of the topic on the broker. */
  topic: string
  partition: number
  /** Of the log on disk, as compressed as it lies there. */
  bytes: number
}

const throttleTimeBytes = 4
const errorCodeBytes = 2
/** How far the replica is behind (8), and whether it is one that is being moved here (1). */
const replicaStateBytes = 9

/**
 * Sizes of the replicas of some topics that a broker has; nothing where the user may not describe the cluster.
 *
 * @param topics - How many partitions each has.
 * @see https://kafka.apache.org/protocol DescribeLogDirs, version 1
 */
export function readLogDirs(broker: Broker, topics: ReadonlyMap<string, number>): Promise<PartitionSize[]> {
  const wanted = [...topics].map(([topic, partitions]) => {
    const numbers = Array.from({ length: partitions }, (_, partition) => int32(partition))
    return Buffer.concat([string(topic), int32(partitions), ...numbers])
  })
  const body = Buffer.concat([int32(topics.size), ...wanted])
  return sendRaw(broker, { apiKey: 35, apiVersion: 1, apiName: 'DescribeLogDirs', body, read: readSizes })
}

/** A folder that the broker can't read has an error, and then no topics. */
function readSizes(answer: Answer): PartitionSize[] {
  answer.take(throttleTimeBytes)
  const folders = answer.array(() => {
    answer.take(errorCodeBytes)
    answer.string()
    return answer.array(() => {
      const topic = answer.string()
      return answer.array(() => {
        const size = { topic, partition: answer.int32(), bytes: answer.int64() }
        answer.take(replicaStateBytes)
        return size
      })
    })
  })
  return folders.flat(2)
}
