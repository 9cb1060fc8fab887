import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** Folder of the shared data; it is not part of the repository. */
export const sharedData = join(import.meta.dirname, '../../../shared/data')

export const hasSharedData = existsSync(join(sharedData, 'corpus/documents.jsonl.gz'))

export interface TestDocument {
  url: string
  title: string
  text: string
}

/** The 3,000 real documents, then generated ones of their sentences; all generated where they are not there. */
export function readDocuments(count: number): TestDocument[] {
  if (!hasSharedData) return generateDocuments(count, generatedSentences(), 1)
  const text = gunzipSync(readFileSync(join(sharedData, 'corpus/documents.jsonl.gz'))).toString('utf8')
  const real: TestDocument[] = text
    .split('\n')
    .filter(line => line !== '')
    .slice(0, count)
    .map(line => JSON.parse(line))
  if (real.length === count) return real
  return [...real, ...generateDocuments(count - real.length, sentencesOf(real), 1)]
}

/** Distinct documents of sentences drawn from a pool; the same for the same seed. */
export function generateDocuments(count: number, pool: readonly string[], seed: number): TestDocument[] {
  const random = seeded(seed)
  return Array.from({ length: count }, (_, number) => {
    const sentences = Array.from(
      { length: 15 + Math.floor(random() * 70) },
      () => pool[Math.floor(random() * pool.length)],
    )
    const text = sentences
      .map((sentence, index) => `${sentence}${index % 6 === 5 ? '\n\n' : ' '}`)
      .join('')
      .trim()
    return { url: `https://example.org/${seed}/${number}`, title: `Document ${number}`, text }
  })
}

/** The sentences of the given documents. */
export function sentencesOf(documents: readonly TestDocument[]): string[] {
  return documents
    .flatMap(({ text }) => text.split(/(?<=[.!?])\s+/))
    .filter(({ length }) => length > 40 && length < 400)
}

function generatedSentences(): string[] {
  const random = seeded(7)
  const word = () =>
    Array.from({ length: 2 + Math.floor(random() * 3) }, () => syllables[Math.floor(random() * syllables.length)]).join(
      '',
    )
  return Array.from({ length: 5_000 }, () => {
    const words = Array.from({ length: 10 + Math.floor(random() * 14) }, word).join(' ')
    return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`
  })
}

const syllables = [
  'ba',
  'ren',
  'to',
  'lis',
  'mu',
  'ke',
  'dor',
  'si',
  'van',
  'pe',
  'lo',
  'cha',
  'ni',
  'ter',
  'gu',
  'fas',
]

/** A number generator: 0 to 1, the same row for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
