import { describe, expect, it } from 'vitest'
import { MinhashIndex } from '../../../operators/dedup/minhash-index.ts'
import { changed, jaccard, randomFrom, words } from './planted-texts.ts'
import { testStatefulIndex } from './stateful-index.ts'

const threshold = 0.75
testStatefulIndex('MinhashIndex', () => new MinhashIndex({ threshold }))

describe('MinhashIndex', () => {
  it('finds planted pairs, and little else', () => {
    const random = randomFrom(42)
    const index = new MinhashIndex({ threshold })
    let similar = 0
    let found = 0
    let verySimilar = 0
    let veryFound = 0
    let dissimilarFound = 0
    let error = 0
    for (let pair = 0; pair < 400; pair += 1) {
      const original = words(random, 60 + Math.floor(random() * 120))
      const copy = changed(random, original, random() * 0.12)
      const exact = jaccard(original, copy)
      expect(index.insert(`original ${pair}`, original.join(' '))).toBeNull()
      const twin = index.insert(`copy ${pair}`, copy.join(' '))
      if (twin) {
        expect(twin.id).toBe(`original ${pair}`)
        error += Math.abs(twin.similarity - exact)
      }
      if (exact >= threshold) similar += 1
      if (exact >= threshold && twin) found += 1
      if (exact >= 0.85) verySimilar += 1
      if (exact >= 0.85 && twin) veryFound += 1
      if (exact < 0.65 && twin) dissimilarFound += 1
    }
    expect(similar).toBeGreaterThan(100)
    // 16 bands of 8 let pass 0.80 of those at 0.75 and 0.99 of those at 0.85.
    expect(found / similar).toBeGreaterThan(0.85)
    expect(veryFound / verySimilar).toBeGreaterThan(0.98)
    expect(dissimilarFound).toBeLessThanOrEqual(2)
    expect(error / found).toBeLessThan(0.04)
  })

  it('says less than 1 where the texts are not equal', () => {
    const index = new MinhashIndex({ threshold })
    const original = words(randomFrom(3), 3_000)
    index.insert('a', original.join(' '))
    const twin = index.insert('b', [...original, 'tail'].join(' '))
    expect(twin).toMatchObject({ id: 'a' })
    expect(twin?.similarity).toBeGreaterThan(0.97)
    expect(twin?.similarity).toBeLessThan(1)
  })

  it.each([
    [
      'Chinese',
      '渡轮每天早上九点从码头出发前往岛屿最好提前半个小时到达因为座位很快就会坐满周末尤其如此请务必带好身份证件',
    ],
    [
      'Japanese',
      'フェリーは毎朝九時に港を出て島へ向かいますので三十分前には到着してください座席はすぐに埋まってしまいます',
    ],
    ['Thai', 'เรือข้ามฟากออกจากท่าเรือทุกเช้าเวลาเก้าโมงควรมาถึงก่อนเวลาครึ่งชั่วโมงเพราะที่นั่งเต็มเร็วมากโดยเฉพาะวันหยุด'],
  ])('finds near-duplicates in %s, which has no spaces', (_name, text) => {
    const index = new MinhashIndex({ threshold })
    expect(index.insert('a', text)).toBeNull()
    expect(index.insert('b', `${text.slice(0, -1)}了`)).toMatchObject({ id: 'a' })
    expect(index.insert('c', [...text].reverse().join(''))).toBeNull()
  })

  it('keeps the first seen of a chain: a copy of a dropped text is compared with what was kept', () => {
    const random = randomFrom(11)
    const index = new MinhashIndex({ threshold })
    const kept = new Map<string, string>()
    for (let record = 0; record < 300; record += 1) {
      const family = words(randomFrom(record % 30), 80)
      const text = changed(random, family, 0.02).join(' ')
      const twin = index.insert(`${record}`, text)
      if (twin) expect(kept.has(twin.id)).toBe(true)
      else kept.set(`${record}`, text)
      if (twin && twin.similarity === 1) expect(kept.get(twin.id)).toBe(text)
    }
    expect(index.size).toBe(kept.size)
    expect(kept.size).toBeLessThan(150)
  })

  it('follows its threshold', () => {
    const random = randomFrom(5)
    const original = words(random, 300)
    const copy = changed(random, original, 0.06)
    expect(jaccard(original, copy)).toBeGreaterThan(0.62)
    expect(jaccard(original, copy)).toBeLessThan(0.78)
    for (const [limit, expected] of [
      [0.55, 'a'],
      [0.9, undefined],
    ] as const) {
      const index = new MinhashIndex({ threshold: limit })
      index.insert('a', original.join(' '))
      expect(index.insert('b', copy.join(' '))?.id).toBe(expected)
    }
  })

  it('estimates texts of more shingles than it takes by the same sample of both', () => {
    const random = randomFrom(9)
    const original = words(random, 40_000, 100_000)
    const index = new MinhashIndex({ threshold })
    index.insert('a', original.join(' '))
    expect(index.insert('b', changed(random, original, 0.02).join(' '))).toMatchObject({ id: 'a' })
    expect(index.insert('c', changed(random, original, 0.3).join(' '))).toBeNull()
  })

  it('takes ten megabytes in bounded time', () => {
    const text = words(randomFrom(1), 1_500_000, 1_000_000).join(' ')
    new MinhashIndex({ threshold }).insert('a', text)
  })
})
