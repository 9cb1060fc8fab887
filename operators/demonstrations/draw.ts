import { z } from 'zod'
import type { Demonstration, DemonstrationSnapshot } from '../demonstrations.ts'
import type { Embedder } from '../embedder.ts'
import { hash } from '../hash.ts'
import type { Context } from '../operator.ts'

/** What a document is about stands in its beginning, and models that embed take no more. */
const embeddedCharacters = 6_000

/** How demonstrations are chosen. Left out, ids are those of a random draw for each record. */
export const drawOptions = {
  draw: z
    .enum(['random', 'by-domain', 'nearest'])
    .optional()
    .transform(name => (name === 'random' ? undefined : name))
    .describe(
      'How they are chosen: at random (default), spread over domains beginning with that of the document, or those ' +
        'whose documents are nearest.',
    ),
  window: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Number of draws that all records share, so that a prefix cache hits; default: one for each record.'),
}

export interface DrawOptions {
  demonstrations: number
  draw?: 'by-domain' | 'nearest' | undefined
  window?: number | undefined
}

/** Whether the draw compares documents. */
export function drawsByMeaning({ draw }: DrawOptions): boolean {
  return draw !== undefined
}

/** Whether the options can go together. */
export function isDrawPossible({ draw, window }: Pick<DrawOptions, 'draw' | 'window'>): boolean {
  return draw !== 'nearest' || window === undefined
}

/** What `isDrawPossible` says no to. */
export const drawRule = { message: 'draw nearest makes a draw for each document', path: ['window'] }

/**
 * The demonstrations for a record, in the order in which they are shown. They depend on the record's id, the sample
 * number and the snapshot; by domain and nearest also on the record's document and the embedder.
 */
export async function drawFor(
  document: string,
  context: Pick<Context<DrawOptions>, 'id' | 'sample' | 'options' | 'demonstrations' | 'embedder' | 'signal'>,
): Promise<readonly Demonstration[]> {
  const { id, sample, options, demonstrations: snapshot } = context
  const { demonstrations: count, draw } = options
  const seed = seedOf(id, sample, options.window)
  if (draw === undefined) return snapshot.draw(seed, count)
  const nearest = await nearestFirst(document, context)
  if (draw === 'nearest') {
    const from = (sample * count) % Math.max(1, nearest.length)
    return [...nearest.slice(from), ...nearest.slice(0, from)].slice(0, count)
  }
  const shuffled = snapshot.draw(seed, snapshot.demonstrations.length)
  return spread(shuffled, nearest[0]?.domain).slice(0, count)
}

/** The first sample's seed without windows is the record's id. */
function seedOf(id: string, sample: number, window: number | undefined): string {
  const own = window === undefined ? id : `window ${Number.parseInt(hash(id).slice(0, 12), 16) % window}`
  return sample === 0 ? own : `${own}/${sample}`
}

/** One of each domain in turn, those of the first domain first. */
function spread(shuffled: readonly Demonstration[], first: string | undefined): Demonstration[] {
  const byDomain = [...Map.groupBy(shuffled, ({ domain }) => domain)]
  const own = byDomain.filter(([domain]) => domain === first)
  const domains = [...own, ...byDomain.filter(([domain]) => domain !== first)].map(([, all]) => all)
  const most = Math.max(0, ...domains.map(({ length }) => length))
  return Array.from({ length: most }, (_, round) => domains.flatMap(all => all[round] ?? [])).flat()
}

type Vectors = Promise<readonly Float32Array[]>
const vectors = new WeakMap<DemonstrationSnapshot, Map<string, Vectors>>()

/** All demonstrations, that with the likest document first. */
async function nearestFirst(
  document: string,
  { demonstrations: snapshot, embedder, signal }: Pick<Context<DrawOptions>, 'demonstrations' | 'embedder' | 'signal'>,
): Promise<Demonstration[]> {
  const [[own], others] = await Promise.all([embed([document], embedder, signal), vectorsOf(snapshot, embedder)])
  const near = snapshot.demonstrations.map((demonstration, index) => {
    const other = others[index]
    return { demonstration, similarity: own && other ? dot(own, other) : 0 }
  })
  // Equally near ones stay in the order of the snapshot.
  return near.sort((left, right) => right.similarity - left.similarity).map(({ demonstration }) => demonstration)
}

/** Made once for all records that are worked. */
function vectorsOf(snapshot: DemonstrationSnapshot, embedder: Embedder): Vectors {
  const known = vectors.get(snapshot) ?? new Map<string, Vectors>()
  vectors.set(snapshot, known)
  const texts = snapshot.demonstrations.map(({ document }) => document)
  // No record may end it: the others wait for it too.
  const made = known.get(embedder.name) ?? embed(texts, embedder, new AbortController().signal)
  known.set(embedder.name, made)
  // The next record asks again.
  made.catch(() => known.delete(embedder.name))
  return made
}

function embed(texts: readonly string[], embedder: Embedder, signal: AbortSignal): Promise<Float32Array[]> {
  return embedder.embed(
    texts.map(text => text.slice(0, embeddedCharacters).toWellFormed()),
    signal,
  )
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0
  for (const [index, value] of left.entries()) sum += value * (right[index] ?? 0)
  return sum
}
