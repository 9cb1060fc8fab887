import { describe, expect, it } from 'vitest'
import type { StatefulIndex, Twin } from '../../../operators/dedup/near-duplicate-index.ts'
import { VectorIndex } from '../../../operators/dedup/vector-index.ts'
import { hashedNgrams } from '../../../streams/embedders/hashed-ngrams.ts'
import { randomFrom } from './planted-texts.ts'
import { BruteForce, near, unit, vectorsLike } from './planted-vectors.ts'
import { testStatefulIndex } from './stateful-index.ts'

const threshold = 0.85
const embedder = 'hashed-ngrams-256'

/** The index behind texts, as the other engines take them. */
function overTexts(): StatefulIndex {
  const index = new VectorIndex({ threshold, embedder })
  return {
    get size() {
      return index.size
    },
    get pendingSize() {
      return index.pendingSize
    },
    insert: (id, text) => index.insert(id, hashedNgrams(text, 256)),
    pending: from => index.pending(from),
    confirm: () => index.confirm(),
    rollback: from => index.rollback(from),
    restore: entry => index.restore(entry),
  }
}

testStatefulIndex('VectorIndex', overTexts)

describe('VectorIndex', () => {
  it.each([
    ['of few dimensions', { dimensions: 3, families: 40 }, 0.85],
    ['at a low threshold', { dimensions: 64, families: 60 }, 0.5],
    ['at the usual threshold', { dimensions: 256, families: 80 }, 0.85],
    ['at a high threshold', { dimensions: 100, families: 30 }, 0.99],
    ['of which only the same count', { dimensions: 33, families: 10 }, 1],
    ['that are all much alike', { dimensions: 128, families: 60, common: 1.6 }, 0.85],
    ['of mostly zeros', { dimensions: 300, families: 60, share: 0.05 }, 0.85],
    ['of one dimension', { dimensions: 1, families: 2 }, 0.85],
  ])('drops and keeps what comparing with every kept vector would: vectors %s', (_name, shape, limit) => {
    const random = randomFrom(shape.dimensions)
    const index = new VectorIndex({ threshold: limit, embedder })
    const brute = new BruteForce(limit)
    const outcomes: (Twin | null)[] = []
    for (const [number, vector] of vectorsLike(random, 2_000, shape).entries()) {
      const twin = index.insert(`${number}`, vector)
      expect(twin).toEqual(brute.insert(`${number}`, vector))
      outcomes.push(twin)
    }
    expect(index.size).toBe(brute.size)
    expect(outcomes.some(twin => twin !== null)).toBe(true)
    expect(outcomes.some(twin => twin === null)).toBe(true)
  })

  it('names the nearest of several kept ones, and how near it is', () => {
    const random = randomFrom(4)
    const index = new VectorIndex({ threshold: 0.8, embedder })
    const middle = unit(random, 64)
    expect(index.insert('far', near(random, middle, 0.86))).toBeNull()
    expect(index.insert('nearer', near(random, middle, 0.9))).toBeNull()
    const twin = index.insert('middle', middle)
    expect(twin?.id).toBe('nearer')
    expect(twin?.similarity).toBeCloseTo(0.9, 5)
  })

  it('compares with what was kept, not with what was dropped', () => {
    const at = (degrees: number) =>
      Float32Array.of(Math.cos(degrees * (Math.PI / 180)), Math.sin(degrees * (Math.PI / 180)))
    const index = new VectorIndex({ threshold, embedder })
    expect(index.insert('0', at(0))).toBeNull()
    expect(index.insert('25', at(25))).toMatchObject({ id: '0' })
    // Near to the one that was dropped, not to the one that was kept.
    expect(index.insert('50', at(50))).toBeNull()
    expect(index.insert('40', at(40))).toMatchObject({ id: '50' })
  })

  it('refuses entries of another embedder, of other dimensions, and without a vector', () => {
    const index = new VectorIndex({ threshold, embedder: 'one' })
    index.insert('a', unit(randomFrom(1), 32))
    const [entry] = index.pending()
    if (!entry) throw new Error('no entry')
    expect(entry.engine).toBe('cosine/1 embedder=one dimensions=32')
    const other = new VectorIndex({ threshold, embedder: 'other' })
    expect(() => other.restore(entry)).toThrow(
      'signature of a was written by the engine "cosine/1 embedder=one dimensions=32", and this is "cosine/1 embedder=other',
    )
    const shorter = new VectorIndex({ threshold, embedder: 'one' })
    shorter.insert('b', unit(randomFrom(2), 16))
    expect(() => shorter.restore(entry)).toThrow('dimensions=16')
    expect(() => new VectorIndex({ threshold, embedder: 'one' }).restore({ ...entry, slots: null })).toThrow()
  })

  it.each([
    ['of other dimensions', Float32Array.of(1, 0, 0)],
    ['that is too short', Float32Array.of(0.5, 0.5)],
    ['of zeros', Float32Array.of(0, 0)],
    ['of what are no numbers', Float32Array.of(Number.NaN, 1)],
  ])('refuses a vector %s, and is as before', (_name, vector) => {
    const index = new VectorIndex({ threshold, embedder })
    index.insert('a', Float32Array.of(1, 0))
    expect(() => index.insert('b', vector)).toThrow(expect.objectContaining({ code: 'RECORD_INVALID' }))
    expect(index.size).toBe(1)
    expect(index.pending().map(({ id }) => id)).toEqual(['a'])
  })
})
