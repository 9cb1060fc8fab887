import type { Broker } from './wire.ts'

export interface PartitionSize {
  /** Name of the topic on the broker. */
  topic: string
  partition: number
  /** Of the log on disk, as compressed as it lies there. */
  bytes: number
}

const describeLogDirs = { apiKey: 35, apiVersion: 1, apiName: 'DescribeLogDirs' }

/**
 * Sizes of the replicas of some topics that a broker has; nothing of those that the user may not see.
 *
 * kafkajs knows the number of this request, but not the request.
 *
 * @see https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs
 */
export function readLogDirs({ connectionPool }: Broker, topics: ReadonlyMap<string, number>): Promise<PartitionSize[]> {
  const payload = encode(topics)
  return connectionPool.send({
    // kafkajs takes an encoder of its own, of which it uses these two.
    request: { ...describeLogDirs, encode: async () => ({ buf: payload, buffer: payload }) },
    response: { decode: async answer => decode(answer), parse: async sizes => sizes },
  })
}

/** @param topics - How many partitions each has. */
function encode(topics: ReadonlyMap<string, number>): Buffer {
  const parts = [int32(topics.size)]
  for (const [topic, partitions] of topics) {
    const name = Buffer.from(topic)
    const length = Buffer.alloc(2)
    length.writeInt16BE(name.length)
    const numbers = Array.from({ length: partitions }, (_, partition) => int32(partition))
    parts.push(length, name, int32(partitions), ...numbers)
  }
  return Buffer.concat(parts)
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A folder that the broker can't read has an error, and then no topics. */
function decode(bytes: Buffer): PartitionSize[] {
  const answer = new Answer(bytes)
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

const throttleTimeBytes = 4
const errorCodeBytes = 2
/** How far the replica is behind (8), and whether it is one that is being moved here (1). */
const replicaStateBytes = 9

/** Takes values from the front of some bytes. */
class Answer {
  #rest: Buffer

  constructor(bytes: Buffer) {
    this.#rest = bytes
  }

  take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  int32(): number {
    return this.take(4).readInt32BE()
  }

  int64(): number {
    return Number(this.take(8).readBigInt64BE())
  }

  string(): string {
    return this.take(this.take(2).readInt16BE()).toString()
  }

  array<T>(read: () => T): T[] {
    return Array.from({ length: this.int32() }, read)
  }
}
