/** The near-duplicate engine: texts per CPU second, memory and restore of a record, recall and precision on planted pairs. */
import { ExactIndex } from '../../operators/dedup/exact-index.ts'
import { MinhashIndex } from '../../operators/dedup/minhash-index.ts'
import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { changed, jaccard, randomFrom, words } from '../operators/dedup/planted-texts.ts'
import { cpuSeconds, usedBytes } from '../support/cost.ts'
import { hasSharedData, readDocuments } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'

const threshold = 0.75

export async function run(options: ScriptOptions): Promise<void> {
  const share = options.short ? 0.2 : 1
  const random = randomFrom(1)
  const instructions = Array.from({ length: 3_000 * share }, () => words(random, 119).join(' '))
  const documents = hasSharedData ? readDocuments(3_000 * share).map(({ text }) => text) : []
  if (!hasSharedData) console.log('the shared corpus is not there: no figures for documents')
  report(
    'dedup',
    [
      ...measureInserts('instructions of 119 words', instructions),
      ...(documents.length > 0 ? measureInserts('documents of the corpus', documents) : []),
      ...measurePlanted(2_000 * share),
      ...measureGrowth(500_000 * share),
    ],
    options,
  )
}

function measureInserts(what: string, texts: readonly string[]): Figure[] {
  const engines: [string, StatefulIndex][] = [
    ['exact', new ExactIndex()],
    ['minhash', new MinhashIndex({ threshold })],
  ]
  return engines.flatMap(([name, index]) => {
    let dropped = 0
    const seconds = cpuSeconds(() => {
      for (const [at, text] of texts.entries()) if (index.insert(`${at}`, text)) dropped++
    })
    return [
      { name: `${name}, ${what}`, value: texts.length / seconds, unit: 'texts per CPU second' },
      { name: `${name}, ${what}: dropped`, value: dropped },
    ]
  })
}

function measurePlanted(pairs: number): Figure[] {
  const random = randomFrom(3)
  const index = new MinhashIndex({ threshold })
  const counts = { similar: 0, reported: 0, right: 0 }
  for (let pair = 0; pair < pairs; pair++) {
    const original = words(random, 60 + Math.floor(random() * 120))
    const copy = changed(random, original, random() * 0.15)
    const isSimilar = jaccard(original, copy) >= threshold
    index.insert(`${pair}`, original.join(' '))
    const isReported = index.insert(`${pair} copy`, copy.join(' ')) !== null
    if (isSimilar) counts.similar++
    if (isReported) counts.reported++
    if (isSimilar && isReported) counts.right++
  }
  return [
    { name: `recall of ${pairs} planted pairs at ${threshold}`, value: counts.right / counts.similar },
    { name: `precision of ${pairs} planted pairs at ${threshold}`, value: counts.right / counts.reported },
  ]
}

/** Entries without texts: what the index itself costs, and whether that grows. */
function measureGrowth(records: number): Figure[] {
  const random = randomFrom(2)
  const index = new MinhashIndex({ threshold })
  const probe = new MinhashIndex({ threshold })
  probe.insert('probe', words(random, 20).join(' '))
  const engine = probe.pending()[0]?.engine ?? ''
  const bytes = (count: number) => Buffer.from(Uint8Array.from({ length: count }, () => random() * 256))
  const before = usedBytes()
  const step = records / 5
  const microseconds: number[] = []
  for (let start = 0; start < records; start += step) {
    const entries = Array.from({ length: step }, (_, at) => {
      return { id: `${start + at}`.padStart(32, '0'), engine, exact: bytes(16), slots: bytes(128) }
    })
    const seconds = cpuSeconds(() => {
      for (const entry of entries) index.restore(entry)
    })
    microseconds.push((seconds / step) * 1e6)
  }
  const used = usedBytes() - before
  return [
    { name: 'restore of a record, first fifth', value: microseconds[0] ?? Number.NaN, unit: 'CPU us' },
    { name: 'restore of a record, last fifth', value: microseconds.at(-1) ?? Number.NaN, unit: 'CPU us' },
    { name: `memory of a record, of ${records}`, value: used / records, unit: 'bytes', goal: { most: 12_288 } },
  ]
}
