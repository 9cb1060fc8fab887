import { describe, expect, it } from 'vitest'
import { HashedNgrams, hashedNgrams } from '../../../streams/embedders/hashed-ngrams.ts'

const signal = new AbortController().signal

function likeness(left: string, right: string): number {
  const [one, other] = [hashedNgrams(left, 1024), hashedNgrams(right, 1024)]
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0)
}

describe('hashed n-grams', () => {
  it('have length 1 and are the same for the same text', async () => {
    const texts = ['The ferry lay still for nine weeks.', '', '!?', '潮の満ち引きと干潟の鳥', 'x'.repeat(5000)]
    const first = await new HashedNgrams().embed(texts, signal)
    const second = await new HashedNgrams().embed(texts, signal)
    expect(second).toEqual(first)
    for (const vector of first) {
      expect(vector).toHaveLength(1024)
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
    }
  })

  it('are near where the words are alike, also in other forms of them', () => {
    const ferry = 'The ferries crossed the frozen river in November.'
    expect(likeness(ferry, 'A ferry crosses a river that has frozen over.')).toBeGreaterThan(
      2 * likeness(ferry, 'Knead the dough until it springs back and let it rise.'),
    )
    expect(likeness('干潟の鳥が満潮を待つ', '満潮を待つ干潟の鳥')).toBeGreaterThan(0.5)
  })

  it('do not see case, width and kind of white space', () => {
    expect(likeness('Der Fluß  fror zu', 'DER\tFLUß fror zu')).toBeCloseTo(1, 5)
    expect(likeness('ＡＢＣ', 'abc')).toBeCloseTo(1, 5)
  })

  it('name their dimensions, on which they depend', () => {
    expect(new HashedNgrams(64).name).toBe('hashed-ngrams-64')
    expect(hashedNgrams('a text', 64)).toHaveLength(64)
  })

  it('end where nobody wants them any more', async () => {
    await expect(new HashedNgrams().embed(['a'], AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })
})
