/** Near-duplicates by meaning: what a stream keeps beside communities of all texts at once, and records per CPU second. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UnitVectors } from '../../operators/dedup/unit-vectors.ts'
import { VectorIndex } from '../../operators/dedup/vector-index.ts'
import { hashedNgrams } from '../../streams/embedders/hashed-ngrams.ts'
import { randomFrom } from '../operators/dedup/planted-texts.ts'
import { cosineOf, vectorsLike } from '../operators/dedup/planted-vectors.ts'
import { cpuSeconds, usedBytes } from '../support/cost.ts'
import { hasSharedData, readDocuments, sentencesOf, sharedData } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'

const threshold = 0.85
const dimensions = 1024
const embedder = `hashed-ngrams-${dimensions}`
const files = ['self-instruct.user-oriented', 'self-instruct.seed-tasks', 'awesome-chatgpt-prompts.2025-06']

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasSharedData) console.log('the shared corpus is not there: figures for generated texts alone')
  const documents = readDocuments(options.short ? 600 : 3_000)
  const figures = [
    ...compare("people's instructions", readInstructions(), [threshold, 0.7]),
    ...compare(
      'beginnings of documents',
      documents.map(({ text }) => text.slice(0, 6_000)),
      [threshold, 0.7],
    ),
    ...measureSpeed(sentencesOf(documents), options.short ? [1_000, 3_000] : [1_000, 10_000, 30_000]),
  ]
  report('meaning', figures, options)
}

/** The sets of instructions that people wrote, as far as they are there. */
function readInstructions(): string[] {
  return files.flatMap(name => {
    const file = join(sharedData, 'instructions', `${name}.jsonl`)
    if (!existsSync(file)) return []
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    return lines.map(line => (JSON.parse(line) as { text: string }).text)
  })
}

function embed(texts: readonly string[]): Float32Array[] {
  return texts.map(text => hashedNgrams(text, dimensions))
}

/** The texts that the stage keeps, in the order in which they come. */
function streamed(vectors: readonly Float32Array[], least: number): Float32Array[] {
  const index = new VectorIndex({ threshold: least, embedder })
  return vectors.filter((vector, number) => index.insert(`${number}`, vector) === null)
}

/**
 * One of each community and all that are in none, as sentence-transformers' `community_detection` finds them: around
 * each text those at least so near; the largest communities first, without what is in an earlier one; two at least.
 */
function communities(vectors: readonly Float32Array[], least: number): Float32Array[] {
  const around = vectors.map((vector, number) => {
    const near = vectors.flatMap((other, at) => {
      const cosine = at === number ? 1 : cosineOf(vector, other)
      return cosine >= least ? [{ at, cosine }] : []
    })
    return near.sort((left, right) => right.cosine - left.cosine).map(({ at }) => at)
  })
  const found = around.filter(({ length }) => length >= 2).sort((left, right) => right.length - left.length)
  const taken = new Set<number>()
  const kept: number[] = []
  for (const community of found) {
    const own = community.filter(at => !taken.has(at))
    const [middle] = own
    if (middle === undefined || own.length < 2) continue
    kept.push(middle)
    for (const at of own) taken.add(at)
  }
  const outliers = [...vectors.keys()].filter(at => !taken.has(at))
  return [...kept, ...outliers].flatMap(at => vectors[at] ?? [])
}

/** Share of the texts that one of the others is at least so near to. */
function covered(texts: readonly Float32Array[], by: readonly Float32Array[], least: number): number {
  return texts.filter(text => by.some(other => other === text || cosineOf(text, other) >= least)).length / texts.length
}

function compare(what: string, texts: readonly string[], thresholds: readonly number[]): Figure[] {
  if (texts.length === 0) return []
  const vectors = embed(texts)
  return thresholds.flatMap(least => {
    const batch = communities(vectors, least)
    const stream = streamed(vectors, least)
    const sizes = [1, 2, 3, 4, 5].map(seed => streamed(shuffled(vectors, seed), least).length)
    const where = `${texts.length} ${what} at ${least}`
    return [
      { name: `${where}, kept by communities of all`, value: batch.length },
      { name: `${where}, kept by the stream`, value: stream.length },
      { name: `${where}, in five other orders, least`, value: Math.min(...sizes) },
      { name: `${where}, in five other orders, most`, value: Math.max(...sizes) },
      { name: `${where}, of the communities' covered by the stream's`, value: covered(batch, stream, least) },
      { name: `${where}, of the stream's covered by the communities'`, value: covered(stream, batch, least) },
      { name: `${where}, pairs left by communities`, value: pairs(batch, least) },
      { name: `${where}, pairs left by the stream`, value: pairs(stream, least), goal: { most: 0 } },
    ]
  })
}

/** Pairs that are at least so near. */
function pairs(vectors: readonly Float32Array[], least: number): number {
  return vectors.reduce(
    (sum, vector, at) => sum + vectors.slice(at + 1).filter(other => cosineOf(vector, other) >= least).length,
    0,
  )
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = randomFrom(seed)
  return items
    .map(item => ({ item, place: random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item)
}

/** What comes in behind so many kept records: texts as the built-in embedder sees them, and vectors as models make. */
function measureSpeed(sentences: readonly string[], sizes: readonly number[]): Figure[] {
  const most = Math.max(...sizes)
  const probes = 200
  const texts = shuffled([...new Set(sentences)], 1).slice(0, most + probes)
  // Unrelated texts are as unlike to some models, and as alike to others.
  const made = (common: number) =>
    vectorsLike(randomFrom(5), most + probes, { dimensions, families: (most + probes) * 4, common })
  const kinds: [string, () => Float32Array[]][] = [
    ['built-in vectors of sentences', () => embed(texts)],
    ['dense vectors', () => made(0.5)],
    ['dense vectors', () => made(1.5)],
  ]
  return kinds.flatMap(([name, make], kind) => {
    const vectors = make()
    const where = `${name}, mean cosine ${meanCosine(vectors).toFixed(2)}`
    return sizes.flatMap(size => measureAt(where, vectors, size, kind === 0 && size === 30_000))
  })
}

function measureAt(name: string, vectors: readonly Float32Array[], size: number, isGoal: boolean): Figure[] {
  const kept = vectors.slice(0, size)
  const probes = vectors.slice(-200)
  const before = usedBytes()
  const index = new UnitVectors(dimensions)
  for (const vector of kept) index.push(vector)
  const bytes = usedBytes() - before
  const found: (number | undefined)[] = []
  const seconds = cpuSeconds(() => {
    for (const probe of probes) found.push(index.nearest(probe, threshold)?.number)
  })
  const some = probes.slice(0, 40)
  const brute: (number | undefined)[] = []
  const bruteSeconds = cpuSeconds(() => {
    for (const probe of some) brute.push(nearestOf(kept, probe))
  })
  const isSame = brute.every((number, at) => number === found[at])
  const where = `${name}, ${size} kept`
  return [
    {
      name: where,
      value: probes.length / seconds,
      unit: 'records per CPU second',
      ...(isGoal && { goal: { least: 200 } }),
    },
    { name: `${where}, one by one`, value: some.length / bruteSeconds, unit: 'records per CPU second' },
    { name: `${where}, the same found (1: yes)`, value: isSame ? 1 : 0, goal: { least: 1 } },
    ...(isGoal ? [{ name: `${where}, memory of a record`, value: bytes / size, unit: 'bytes' }] : []),
  ]
}

function nearestOf(kept: readonly Float32Array[], probe: Float32Array): number | undefined {
  let best: number | undefined
  let highest = threshold
  for (const [at, vector] of kept.entries()) {
    const cosine = cosineOf(probe, vector)
    if (cosine < highest || (cosine === highest && best !== undefined)) continue
    best = at
    highest = cosine
  }
  return best
}

function meanCosine(vectors: readonly Float32Array[]): number {
  const some = vectors.slice(0, 200)
  const cosines = some.flatMap((vector, at) => some.slice(at + 1).map(other => cosineOf(vector, other)))
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length
}
