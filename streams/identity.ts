import { hash } from '../operators/hash.ts'
import type { Noun, Records } from '../schemas/records.ts'

/** Id of a page or of an article that came in as it is: its content alone, so that the same content is one record. */
export function contentId(content: string): string {
  return hash(content)
}

/** Topics that anyone may write to, with any key, to any partition and without an id. */
export function isOpen(topic: string): boolean {
  return topic === 'page' || topic === 'article'
}

/** The record with its id: a foreign producer leaves the id of a page or article empty, and it is made from content. */
export function identify<N extends Noun>(noun: N, record: Records[N]): Records[N] {
  if (record.id !== '') return record
  if (noun === 'page') return { ...record, id: contentId((record as Records['page']).content) }
  if (noun === 'article') return { ...record, id: contentId((record as Records['article']).text) }
  return record
}
