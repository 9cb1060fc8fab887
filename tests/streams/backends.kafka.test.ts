import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Noun } from '../../schemas/records.ts'
import { hasSharedData, sharedData } from '../support/documents.ts'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'
import { folderGround, type Ground, groundOf, ingestDocuments, withPipeline } from '../support/workers.ts'

const pages = 66
const documents = 500
/** The topics whose records do not depend on the order of work. */
const topics = ['page', 'article', 'document', 'situation', 'instruction'] as const
/** What tells when and where something was done. */
const timesAndPlaces: readonly string[] = ['time', 'latencyMs', 'topic', 'partition', 'offset']

/** Works the saved pages and the documents through the whole chain. */
async function work(ground: Ground, folder: string): Promise<void> {
  await mustSitu(['ingest', join(sharedData, 'web'), '--include', '**/source.html.gz', ...ground.flags])
  await ingestDocuments(ground, folder, documents)
  await mustSitu(['run', '--model', 'stand-in', '--concurrency', '64', ...ground.flags])
  await mustSitu(['topics', '--verify', ...ground.flags])
}

/** Records by id, each as its JSON without times and places. */
function recordsOf(ground: Ground, topic: Noun): Promise<Map<string, string>> {
  return withPipeline(ground, async ({ transport, serde, partitions }) => {
    const records = new Map<string, string>()
    let count = 0
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of transport.read(topic, partition, 0)) {
        for (const { key, value } of messages) {
          const record = await serde.decode(topic, value)
          const text = JSON.stringify(record, (name, inner) => (timesAndPlaces.includes(name) ? undefined : inner))
          records.set(key ?? '', text)
          count++
        }
      }
    }
    expect(records.size, `${topic}: ids`).toBe(count)
    return records
  })
}

describe.skipIf(!hasSharedData)('Kafka beside embedded (left out where the shared data is not there)', () => {
  it('makes the same records of the same pages and documents', { timeout: 300_000 }, async () => {
    const folder = temporaryFolder()
    try {
      const { brokers, registry } = kafkaServices()
      const prefix = uniquePrefix().slice(0, -1)
      const kafka = groundOf({ brokers: brokers.join(','), registry, prefix, partitions: '3' })
      const embedded = folderGround(join(folder, 'data'))
      await Promise.all([work(kafka, folder), work(embedded, folder)])
      const counts: Partial<Record<Noun, number>> = {}
      for (const topic of topics) {
        const [left, right] = await Promise.all([recordsOf(kafka, topic), recordsOf(embedded, topic)])
        counts[topic] = left.size
        expect(new Set(left.keys()), `${topic}: ids`).toEqual(new Set(right.keys()))
        for (const [id, record] of left) expect(record, `${topic} ${id}`).toBe(right.get(id))
      }
      expect(counts.page).toBe(pages + documents)
      // A page without a text is dropped, and so are repeats.
      expect(counts.document).toBeGreaterThan(0.9 * (pages + documents))
      expect(counts.instruction).toBe(counts.document)
    } finally {
      removeFolder(folder)
    }
  })
})
