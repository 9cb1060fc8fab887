import { describe, expect, it } from 'vitest'
import { promptOptions } from '../../../operators/composition.ts'
import { type DrawOptions, drawFor } from '../../../operators/demonstrations/draw.ts'
import {
  builtInSnapshot,
  createSnapshot,
  type Demonstration,
  parseSnapshot,
} from '../../../operators/demonstrations.ts'
import type { Embedder } from '../../../operators/embedder.ts'
import { HashedNgrams } from '../../../streams/embedders/hashed-ngrams.ts'

const snapshot = builtInSnapshot()
const signal = new AbortController().signal
const embedder = new HashedNgrams()
const ids = Array.from({ length: 200 }, (_, index) => `record-${index}`)

function context(id: string, options: Partial<DrawOptions> = {}, more: { sample?: number; embedder?: Embedder } = {}) {
  return {
    id,
    sample: 0,
    options: { demonstrations: 10, ...options },
    demonstrations: snapshot,
    embedder,
    signal,
    ...more,
  }
}

async function idsOf(drawn: Promise<readonly Demonstration[]>): Promise<string[]> {
  return (await drawn).map(({ id }) => id)
}

describe('a random draw', () => {
  it('is that of the record and the snapshot alone, whatever document it is for', async () => {
    const drawn = await idsOf(drawFor('A text.', context('record-1')))
    expect(drawn).toEqual(snapshot.draw('record-1', 10).map(({ id }) => id))
    expect(await idsOf(drawFor('Another one.', context('record-1')))).toEqual(drawn)
    expect(await idsOf(drawFor('A text.', context('record-2')))).not.toEqual(drawn)
    const again = { ...context('record-1'), demonstrations: parseSnapshot(snapshot.text) }
    expect(await idsOf(drawFor('A text.', again))).toEqual(drawn)
  })

  it('is another one for each sample', async () => {
    const samples = await Promise.all([0, 1, 2].map(sample => idsOf(drawFor('', context('record-1', {}, { sample })))))
    expect(new Set(samples.map(sample => sample.join())).size).toBe(3)
  })

  it('has as many forms as windows, in one order, so that a prefix cache hits', async () => {
    const draws = await Promise.all(ids.map(id => idsOf(drawFor('', context(id, { window: 4 })))))
    expect(new Set(draws.map(draw => draw.join())).size).toBe(4)
    const few = await Promise.all(ids.map(id => idsOf(drawFor('', context(id, { window: 4, demonstrations: 3 })))))
    expect(few).toEqual(draws.map(draw => draw.slice(0, 3)))
  })
})

describe('the nearest', () => {
  it('begin with the demonstration that the document is of', async () => {
    for (const demonstration of snapshot.demonstrations) {
      const half = demonstration.document.slice(0, demonstration.document.length / 2)
      const [first] = await idsOf(drawFor(half, context('record-1', { draw: 'nearest' })))
      expect(first, demonstration.domain).toBe(demonstration.id)
    }
  })

  it('are the same for the same document in whatever record, and others for another sample', async () => {
    const { document } = snapshot.demonstrations[3] as Demonstration
    const nearest = await idsOf(drawFor(document, context('record-1', { draw: 'nearest' })))
    expect(await idsOf(drawFor(document, context('record-2', { draw: 'nearest' })))).toEqual(nearest)
    const second = await idsOf(drawFor(document, context('record-1', { draw: 'nearest' }, { sample: 1 })))
    expect(second.filter(id => nearest.includes(id))).toEqual([])
  })

  it('are asked for again where the embedder failed', async () => {
    const other = createSnapshot(snapshot.demonstrations.slice(1))
    let failures = 1
    const failing: Embedder = {
      name: 'failing',
      dimensions: 1024,
      contextTokens: null,
      embed(texts, own) {
        if (texts.length > 1 && failures-- > 0) return Promise.reject(new Error('away'))
        return embedder.embed(texts, own)
      },
    }
    const own = { ...context('record-1', { draw: 'nearest' }, { embedder: failing }), demonstrations: other }
    await expect(drawFor('A text.', own)).rejects.toThrow('away')
    expect(await drawFor('A text.', own)).toHaveLength(10)
  })

  it('can have no windows', () => {
    expect(promptOptions.safeParse({ draw: 'nearest', window: 3 }).error?.issues).toMatchObject([
      { path: ['window'], message: 'draw nearest makes a draw for each document' },
    ])
    expect(promptOptions.safeParse({ draw: 'by-domain', window: 3 }).success).toBe(true)
  })
})

describe('a draw by domain', () => {
  const [first, second, third] = snapshot.demonstrations as [Demonstration, Demonstration, Demonstration]
  const pool = createSnapshot([
    ...[1, 2, 3, 4].map(number => ({ ...first, user: `user ${number}` })),
    ...[1, 2].map(number => ({ ...second, user: `user ${number}` })),
    third,
  ])

  it('shows one of each domain in turn, that of the document first', async () => {
    for (const id of ids.slice(0, 20)) {
      const own = { ...context(id, { draw: 'by-domain', demonstrations: 7 }), demonstrations: pool }
      const domains = (await drawFor(second.document, own)).map(({ domain }) => domain)
      expect(domains[0]).toBe(second.domain)
      expect(new Set(domains.slice(0, 3)).size).toBe(3)
      expect(domains.slice(-2)).toEqual([first.domain, first.domain])
    }
  })

  it('depends on the record too', async () => {
    const draws = await Promise.all(
      ids.map(id => idsOf(drawFor(second.document, { ...context(id, { draw: 'by-domain' }), demonstrations: pool }))),
    )
    expect(new Set(draws.map(draw => draw.join())).size).toBeGreaterThan(10)
  })
})

describe('options of a draw', () => {
  it('leave ids as they were where they are left out, and where random is asked for by name', () => {
    const before = {
      demonstrations: 10,
      maxDocumentTokens: 4096,
      maxDemonstrationDocumentTokens: 700,
      maxPromptTokens: 7500,
    }
    expect(JSON.stringify(promptOptions.parse({}))).toBe(JSON.stringify(before))
    expect(JSON.stringify(promptOptions.parse({ draw: 'random' }))).toBe(JSON.stringify(before))
  })

  it('refuse an unknown draw', () => {
    expect(promptOptions.safeParse({ draw: 'closest' }).success).toBe(false)
  })
})
