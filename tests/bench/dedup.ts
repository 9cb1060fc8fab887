/** The first near-duplicate engine: records per CPU second, memory a record, recall and precision on planted pairs. */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { ExactIndex } from '../../operators/dedup/exact-index.ts'
import { MinhashIndex } from '../../operators/dedup/minhash-index.ts'
import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { changed, jaccard, randomFrom, words } from '../operators/dedup/planted-texts.ts'

const corpus = '../shared/data/corpus/documents.jsonl.gz'

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function fill(name: string, index: StatefulIndex, texts: readonly string[]): void {
  let dropped = 0
  const seconds = cpuSeconds(() => {
    for (const [at, text] of texts.entries()) if (index.insert(`${at}`, text)) dropped += 1
  })
  console.log(
    `${name}: ${Math.round(texts.length / seconds)} texts per CPU second, ${dropped} of ${texts.length} dropped`,
  )
}

/** Entries without texts: what the index itself costs, and whether that grows. */
function growth(records: number, step: number): void {
  const random = randomFrom(2)
  const index = new MinhashIndex({ threshold: 0.75 })
  const probe = new MinhashIndex({ threshold: 0.75 })
  probe.insert('probe', words(random, 20).join(' '))
  const engine = probe.pending()[0]?.engine ?? ''
  const bytes = (count: number) => Buffer.from(Uint8Array.from({ length: count }, () => random() * 256))
  globalThis.gc?.()
  const before = process.memoryUsage()
  for (let start = 0; start < records; start += step) {
    const entries = Array.from({ length: step }, (_, at) => {
      return { id: `${start + at}`.padStart(32, '0'), engine, exact: bytes(16), slots: bytes(128) }
    })
    const seconds = cpuSeconds(() => {
      for (const entry of entries) index.restore(entry)
    })
    console.log(`restore up to ${start + step}: ${((seconds / step) * 1e6).toFixed(1)} CPU us a record`)
  }
  globalThis.gc?.()
  const after = process.memoryUsage()
  const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  console.log(`memory ${Math.round(used / records)} bytes a record (exact only with node --expose-gc)`)
}

function planted(pairs: number): void {
  const random = randomFrom(3)
  const index = new MinhashIndex({ threshold: 0.75 })
  const counts = { similar: 0, found: 0, reported: 0, right: 0 }
  for (let pair = 0; pair < pairs; pair += 1) {
    const original = words(random, 60 + Math.floor(random() * 120))
    const copy = changed(random, original, random() * 0.15)
    const similar = jaccard(original, copy) >= 0.75
    index.insert(`${pair}`, original.join(' '))
    const twin = index.insert(`${pair} copy`, copy.join(' '))
    if (similar) counts.similar += 1
    if (twin) counts.reported += 1
    if (similar && twin) counts.right += 1
  }
  const recall = (counts.right / counts.similar).toFixed(3)
  console.log(
    `planted pairs ${pairs}: recall ${recall}, precision ${(counts.right / counts.reported).toFixed(3)} at 0.75`,
  )
}

const random = randomFrom(1)
const instructions = Array.from({ length: 3_000 }, () => words(random, 119).join(' '))
fill('exact, instructions of 119 words', new ExactIndex(), instructions)
fill('minhash, instructions of 119 words', new MinhashIndex({ threshold: 0.75 }), instructions)
if (existsSync(corpus)) {
  const lines = gunzipSync(readFileSync(corpus)).toString().trim().split('\n')
  const documents = lines.map(line => (JSON.parse(line) as { text: string }).text)
  fill('exact, the shared corpus', new ExactIndex(), documents)
  fill('minhash, the shared corpus', new MinhashIndex({ threshold: 0.75 }), documents)
}
planted(2_000)
growth(500_000, 100_000)
