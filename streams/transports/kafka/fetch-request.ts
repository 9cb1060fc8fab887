import { createRequire } from 'node:module'
import { Answer } from './raw-request.ts'
import type { Broker, RawCall } from './wire.ts'

interface FetchResponse {
  responses: { topicName: string; partitions: FetchedPartition[] }[]
}

/** What a broker answers of one partition. */
export interface FetchedPartition {
  partition: number
  /** Not 0 where it has no answer. */
  errorCode: number
  /** End of what readers of committed messages may see. */
  stable: number
  /** Transactions that were aborted, by their first offset here. */
  aborted: { producerId: number; firstOffset: number }[]
  /** Record batches, of which the last may be cut off. */
  batches: Buffer
}

export interface FetchedTopic {
  topic: string
  partitions: { partition: number; fetchOffset: string; maxBytes: number }[]
}

const require = createRequire(import.meta.url)
/** kafkajs has them, but does not export them. */
const encodeFetch = require('kafkajs/src/protocol/requests/fetch/v11/request.js') as (
  request: object,
) => RawCall<FetchResponse>['request']
/** Its `parse` throws what the broker refuses. */
const { parse } = require('kafkajs/src/protocol/requests/fetch/v11/response.js') as RawCall<FetchResponse>['response']

const noReplica = -1
const readCommitted = 1

/** Committed messages of partitions, each named once. */
export async function fetchBatches(
  broker: Broker,
  topics: readonly FetchedTopic[],
  { maxWaitMs, maxBytes }: { maxWaitMs: number; maxBytes: number },
): Promise<FetchResponse['responses']> {
  const request = encodeFetch({
    replicaId: noReplica,
    isolationLevel: readCommitted,
    maxWaitTime: maxWaitMs,
    minBytes: 1,
    maxBytes,
    topics,
  })
  try {
    const { responses } = await broker.connectionPool.send({ request, response: { decode, parse } })
    return responses
  } catch (error) {
    // As kafkajs does for requests of its own.
    if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError') await broker.disconnect()
    throw error
  }
}

async function decode(bytes: Buffer): Promise<FetchResponse> {
  const answer = new Answer(bytes)
  // Time of throttling, error and id of the session, of which we have none.
  answer.take(4 + 2 + 4)
  const responses = answer.array(() => ({
    topicName: answer.string(),
    partitions: answer.array(() => partitionOf(answer)),
  }))
  return { responses }
}

function partitionOf(answer: Answer): FetchedPartition {
  const partition = answer.int32()
  const errorCode = answer.int16()
  // The end of the log.
  answer.int64()
  const stable = answer.int64()
  // Its start.
  answer.int64()
  const aborted = answer.array(() => ({ producerId: answer.int64(), firstOffset: answer.int64() }))
  // The replica that it would rather have asked.
  answer.int32()
  const batches = answer.take(Math.max(0, answer.int32()))
  return { partition, errorCode, stable, aborted, batches }
}
