import type { Message } from '../transport.ts'
import type { FetchedPartition } from './fetch-request.ts'
import { batchesOf, isAbort, readMessages } from './record-batch-reader.ts'

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

/**
 * Leaves out what transactions have aborted, and the ends of transactions themselves.
 *
 * @throws {RangeError} The bytes are no record batches.
 */
export async function decodePage(place: Place, { aborted, batches, stable }: FetchedPartition): Promise<Page> {
  const beginnings = aborted.toSorted((left, right) => left.firstOffset - right.firstOffset)
  const aborting = new Set<number>()
  const messages: Message[] = []
  let next = place.offset
  for (const batch of batchesOf(batches)) {
    const { lastOffset, producerId } = batch
    while (beginnings[0] && beginnings[0].firstOffset <= lastOffset) aborting.add(beginnings.shift()?.producerId ?? -1)
    if (batch.isControl) {
      if (isAbort(batch)) aborting.delete(producerId)
    } else if (!(batch.inTransaction && aborting.has(producerId))) await readMessages(batch, place, messages)
    // Compaction may have taken the last messages of a batch; its header still knows where it ended.
    next = Math.max(next, lastOffset + 1)
  }
  return { messages, next, stable }
}
