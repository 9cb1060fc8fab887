import { describe, expect, it } from 'vitest'
import { UnitVectors } from '../../../operators/dedup/unit-vectors.ts'
import { randomFrom } from './planted-texts.ts'
import { cosineOf, near, normal, unit, vectorsLike } from './planted-vectors.ts'

const dimensions = 40
const vectors = vectorsLike(randomFrom(8), 2_300, { dimensions, families: 500, common: 0.7 })

function filled(count: number): UnitVectors {
  const all = new UnitVectors(dimensions)
  for (const vector of vectors.slice(0, count)) all.push(vector)
  return all
}

function nearestOf(kept: readonly Float32Array[], vector: Float32Array, threshold: number) {
  const cosines = kept.map((other, number) => ({ number, cosine: cosineOf(vector, other) }))
  const best = cosines.reduce((left, right) => (right.cosine > left.cosine ? right : left))
  return best.cosine >= threshold ? best : null
}

describe('vectors of length 1', () => {
  it('are given back as they were, beyond the first thousand too', () => {
    const all = filled(2_300)
    expect(all.size).toBe(2_300)
    for (const number of [0, 1, 255, 256, 1_023, 1_024, 2_047, 2_048, 2_299])
      expect(all.get(number)).toEqual(vectors[number])
    expect(() => all.get(2_300)).toThrow(RangeError)
  })

  it.each([1, 255, 256, 1_024, 1_025, 2_300])('of which there are %i: the nearest is that of all', count => {
    const all = filled(count)
    const random = randomFrom(count)
    const found = Array.from({ length: 150 }, () => {
      const target = vectors[Math.floor(random() * count)] ?? new Float32Array()
      const vector = near(random, target, 0.6 + 0.39 * random())
      const nearest = all.nearest(vector, 0.85)
      expect(nearest).toEqual(nearestOf(vectors.slice(0, count), vector, 0.85))
      return nearest
    })
    expect(found).toContain(null)
    expect(found.some(nearest => nearest !== null)).toBe(true)
  })

  it.each([0, 400])('are found by their smallest numbers alone, among %i others', others => {
    const random = randomFrom(17)
    const all = new UnitVectors(200)
    for (let count = 0; count < others; count += 1) all.push(unit(random, 200))
    for (const spread of [1, 3, 6]) {
      const vector = normal(unit(random, 200).map(value => Math.sign(value) * Math.abs(value) ** spread))
      const largest = [...vector.keys()].sort(
        (left, right) => Math.abs(vector[right] ?? 0) - Math.abs(vector[left] ?? 0),
      )
      for (let without = 1; without < 100; without += 1) {
        // What it has in common with the other one comes last, and is all that the bound allows.
        const rest = normal(vector.map((value, at) => (largest.indexOf(at) < without ? 0 : value)))
        const cosine = cosineOf(vector, rest)
        if (cosine < 0.5) break
        all.push(rest)
        expect(all.nearest(vector, cosine)).toEqual({ number: others, cosine })
        expect(all.nearest(vector, cosine + 1e-9)).toBeNull()
        all.pop()
      }
    }
  })

  it('are as if never put in once they are taken away', () => {
    const all = filled(2_300)
    for (let count = 2_300; count > 900; count -= 1) all.pop()
    const vector = vectors[1_500] ?? new Float32Array()
    expect(all.nearest(vector, 0.5)).toEqual(nearestOf(vectors.slice(0, 900), vector, 0.5))
    for (const again of vectors.slice(1_200)) all.push(again)
    expect(all.get(900)).toEqual(vectors[1_200])
    expect(all.nearest(vector, 0.5)?.cosine).toBeCloseTo(1, 6)
  })

  it('have none near while there are none', () => {
    expect(new UnitVectors(dimensions).nearest(vectors[0] ?? new Float32Array(), 0.5)).toBeNull()
  })
})
