import { expect, it } from 'vitest'
import { WordCounts } from '../../operators/word-counts.ts'

it('counts a word that comes again and again once, however many others come between', () => {
  const counted: string[] = []
  const counts = new WordCounts(word => {
    counted.push(word)
    return word.length
  })
  for (let number = 0; number < 200_000; number += 1) {
    expect(counts.of('often')).toBe(5)
    counts.of(`w${number}`)
  }
  expect(counted.filter(word => word === 'often')).toHaveLength(1)
  expect(counts.of('w199999')).toBe(7)
})

it('forgets what has not come for long, and keeps no word of great length', () => {
  let counted = 0
  const counts = new WordCounts(word => {
    counted += 1
    return word.length
  })
  counts.of('once')
  for (let number = 0; number < 200_000; number += 1) counts.of(`w${number}`)
  counted = 0
  counts.of('once')
  expect(counted).toBe(1)
  counts.of('x'.repeat(5_000))
  counts.of('x'.repeat(5_000))
  expect(counted).toBe(3)
})
