import type { Message } from '../transport.ts'
import type { FetchedMessage, FetchedPartition } from './wire.ts'

/** Id of the record that a message was made from. */
export const parentHeader = 'situ-parent'

/** What one fetch brought of a partition. */
export interface Page {
  messages: Message[]
  /** Where to go on: behind everything that the page covered, control and aborted records too. */
  next: number
  /** End of what readers of committed messages may see. */
  stable: number
}

export interface Place {
  topic: string
  partition: number
  /** Where the fetch began; a broker answers with whole batches, which may begin earlier. */
  offset: number
}

/** Leaves out what transactions have aborted, and the ends of transactions themselves. */
export function decodePage({ topic, partition, offset: from }: Place, fetched: FetchedPartition): Page {
  const aborted = fetched.abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
    .sort((left, right) => left.firstOffset - right.firstOffset)
  const aborting = new Set<string>()
  const messages: Message[] = []
  let next = from
  for (const message of fetched.messages) {
    const offset = Number(message.offset)
    while (aborted[0] && aborted[0].firstOffset <= offset) aborting.add(aborted.shift()?.producerId ?? '')
    const { producerId = '', inTransaction = false } = message.batchContext ?? {}
    next = Math.max(next, offset + 1, behindBatch(message))
    if (message.isControlRecord) {
      if (isAbort(message)) aborting.delete(producerId)
    } else if (offset >= from && !(inTransaction && aborting.has(producerId))) {
      messages.push(toMessage(topic, partition, message))
    }
  }
  return { messages, next, stable: Number(fetched.lastStableOffset) }
}

/** Compaction may have taken the last messages of a batch; its header still knows where it ended. */
function behindBatch({ batchContext }: FetchedMessage): number {
  const { firstOffset = -1, lastOffsetDelta = 0 } = batchContext ?? {}
  return Number(firstOffset) + lastOffsetDelta + 1
}

/** Key of a control record: version and type, 16 bits each; type 0 aborts. */
function isAbort({ key }: FetchedMessage): boolean {
  return key !== null && key.length >= 4 && key.readInt16BE(2) === 0
}

function toMessage(topic: string, partition: number, message: FetchedMessage): Message {
  const header = [message.headers[parentHeader]].flat()[0]
  return {
    topic,
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key === null ? null : message.key.toString(),
    value: message.value,
    parent: header === undefined ? null : header.toString(),
  }
}
