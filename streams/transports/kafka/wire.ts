import { promisify } from 'node:util'
import { zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'
import kafkajs, { type Kafka } from 'kafkajs'
import { decodeLz4, decodeSnappy } from './codecs.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs

/**
 * What this folder uses of kafkajs: its connections and its protocol, taken at version 2.2.4, which is the last. Its
 * producer and its consumer are not used: a failed end of a transaction leaves the one unusable, and the other can
 * neither read a partition of its choice nor tell when a partition is taken away. A broker's requests are its own
 * methods; most are not in its types, so they are described here.
 */
export interface Cluster {
  readonly targetTopics: Set<string>
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[]
  /** Known once the metadata was refreshed. */
  readonly brokerPool: { readonly metadata: { readonly brokers: readonly { nodeId: number }[] } }
  findControllerBroker(): Promise<Broker>
  findBroker(node: { nodeId: number | string }): Promise<Broker>
  findGroupCoordinator(coordinator: { groupId: string; coordinatorType: 0 | 1 }): Promise<Broker>
  removeBroker(address: { host: string; port: number }): void
}

export interface Broker {
  readonly nodeId: number | string
  /** Two connections: one for fetches, which wait at the broker, and one for all other requests. */
  readonly connectionPool: {
    readonly pool: readonly { isConnected(): boolean }[]
    getConnection(index: number): Promise<unknown>
    send<T>(call: RawCall<T>): Promise<T>
  }
  /** By the number of the request; null until it is connected. */
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>> | null
  isConnected(): boolean
  disconnect(): Promise<void>
  findGroupCoordinator(wanted: { groupId: string; coordinatorType: 0 | 1 }): Promise<unknown>
  listOffsets(request: {
    isolationLevel: 0 | 1
    topics: { topic: string; partitions: { partition: number; timestamp: number }[] }[]
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>
  initProducerId(request: {
    transactionalId: string
    transactionTimeout: number
  }): Promise<{ producerId: string; producerEpoch: number }>
  addPartitionsToTxn(
    request: ProducerIdentity & { topics: { topic: string; partitions: number[] }[] },
  ): Promise<unknown>
  addOffsetsToTxn(request: ProducerIdentity & { groupId: string }): Promise<unknown>
  txnOffsetCommit(
    request: ProducerIdentity & {
      groupId: string
      topics: { topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[]
    },
  ): Promise<unknown>
  endTxn(request: ProducerIdentity & { transactionResult: boolean }): Promise<unknown>
  joinGroup(request: {
    groupId: string
    memberId: string
    sessionTimeout: number
    rebalanceTimeout: number
    groupProtocols: { name: string; metadata: Buffer }[]
  }): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    members: { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  describeGroups(request: {
    groupIds: string[]
  }): Promise<{ groups: { members: { memberId: string; clientId: string }[] }[] }>
}

/** A request that kafkajs only sends, and from the bytes of its answer to what they say. */
export interface RawCall<T> {
  request: {
    apiKey: number
    apiVersion: number
    apiName: string
    /** Default: true. */
    expectResponse?: () => boolean
    encode: () => Promise<{ buf: Buffer; buffer: Buffer }>
  }
  /** Decodes what stands behind the header; `parse` throws what the broker answered in place of a result. */
  response: { decode: (answer: Buffer) => Promise<T>; parse: (decoded: T) => Promise<T> }
}

export interface ProducerIdentity {
  transactionalId: string
  producerId: string
  producerEpoch: number
}

/**
 * A client of the cluster, with connections of its own. kafkajs hands it to the assigner of a consumer, which is here
 * only for that and never runs.
 */
export function openCluster(kafka: Kafka): Cluster {
  const found: unknown[] = []
  kafka.consumer({
    groupId: 'none',
    allowAutoTopicCreation: false,
    metadataMaxAge: 60_000,
    partitionAssigners: [
      ({ cluster }) => {
        found.push(cluster)
        return {
          name: 'none',
          version: 0,
          assign: async () => [],
          protocol: () => ({ name: '', metadata: Buffer.of() }),
        }
      },
    ],
  })
  return found[0] as Cluster
}

const [compress, decompress] = [promisify(zstdCompress), promisify(zstdDecompress)]

/** Each chunk of output is a way to another thread and back, so one should do: by default it would have 16 KB. */
const leastChunkBytes = 16_384
const mostChunkBytes = 4 << 20
/** What is smaller takes less time than the way to another thread. */
const leastAwayBytes = { compress: 32_768, decompress: 262_144 }

/** kafkajs knows the number of the codec, but brings none. */
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => compressZstd(buffer),
  decompress: async (buffer: Buffer) => {
    // Texts take three to five times as much.
    const options = { chunkSize: chunkBytes(5 * buffer.length) }
    return buffer.length < leastAwayBytes.decompress ? zstdDecompressSync(buffer, options) : decompress(buffer, options)
  },
})

/** Others write with these, and a topic may be told to keep its messages so; we only read them. */
for (const [type, decode] of [
  [CompressionTypes.Snappy, decodeSnappy],
  [CompressionTypes.LZ4, decodeLz4],
] as const) {
  CompressionCodecs[type] = () => ({ decompress: decode })
}

export async function compressZstd(bytes: Buffer): Promise<Buffer> {
  // Texts shrink to less than half.
  const options = { chunkSize: chunkBytes(bytes.length / 2) }
  return bytes.length < leastAwayBytes.compress ? zstdCompressSync(bytes, options) : compress(bytes, options)
}

function chunkBytes(expectedBytes: number): number {
  return Math.ceil(Math.min(mostChunkBytes, Math.max(leastChunkBytes, expectedBytes)))
}

export const zstd = CompressionTypes.ZSTD

/**
 * Passes all warnings but one: kafkajs sets a timer of a negative time after each answer, of which Node warns at the
 * first, in a program that its user can do nothing about.
 */
export function withoutTimerWarning(emit: typeof process.emitWarning): typeof process.emitWarning {
  const filtered = (warning: string | Error, ...rest: unknown[]) => {
    const [options] = rest
    const name = typeof options === 'string' ? options : (options as { type?: string } | undefined)?.type
    const isTimer = name === 'TimeoutNegativeWarning' || (warning as Error).name === 'TimeoutNegativeWarning'
    if (isTimer && /[\\/]kafkajs[\\/]src[\\/]/.test(new Error('where').stack ?? '')) return
    Reflect.apply(emit, process, [warning, ...rest])
  }
  return filtered as typeof process.emitWarning
}

process.emitWarning = withoutTimerWarning(process.emitWarning)
