import { expect, it } from 'vitest'
import { ExactIndex } from '../../../operators/dedup/exact-index.ts'
import { testStatefulIndex } from './stateful-index.ts'

testStatefulIndex('ExactIndex', () => new ExactIndex())

it('keeps texts that differ in one word', () => {
  const index = new ExactIndex()
  expect(index.insert('a', 'the quick brown fox jumps over the lazy dog')).toBeNull()
  expect(index.insert('b', 'the quick brown fox jumps over the lazy cat')).toBeNull()
})
