import type { Document } from '../../schemas/records.ts'
import { contentId } from '../../streams/identity.ts'
import type { Pipeline } from '../../streams/pipeline.ts'

export type Written = Pick<Document, 'text'> & Partial<Document>

/** Writes documents as dedupe-document would, their id that of their text, to the partitions in turn. */
export async function writeDocuments(
  { transport, serde, partitions }: Pipeline,
  documents: readonly Written[],
): Promise<string[]> {
  const messages = documents.map((given, index) => {
    const id = contentId(given.text)
    const input = { id, topic: 'article', partition: 0, offset: index }
    const document: Document = { id, url: null, title: null, language: 'en', source: null, input, ...given }
    return { topic: 'document', partition: index % partitions, key: id, ...serde.encode('document', document) }
  })
  await transport.produce(messages)
  return messages.map(({ key }) => key)
}
