import { describe, expect, it } from 'vitest'
import { costOf } from '../../../streams/spending/price.ts'

const usage = { promptTokens: 1_000_000, cachedTokens: 400_000, completionTokens: 200_000 }

describe('costOf', () => {
  it('takes input, cached input and output at their own prices', () => {
    expect(costOf({ input: 1, cachedInput: 0.1, output: 5 }, usage)).toBeCloseTo(0.6 + 0.04 + 1, 10)
  })

  it('takes cached input at the price of input where it has none', () => {
    expect(costOf({ input: 1, output: 5 }, usage)).toBeCloseTo(2, 10)
  })

  it('is not known without a price or a usage, and 0 where it is free', () => {
    expect(costOf(null, usage)).toBeNull()
    expect(costOf({ input: 1, output: 5 }, null)).toBeNull()
    expect(costOf({ input: 0, output: 0 }, usage)).toBe(0)
    expect(costOf({ input: 0, output: 0 }, null)).toBe(0)
    expect(costOf({ input: 0, cachedInput: 1, output: 0 }, null)).toBeNull()
  })

  it('never counts more cached tokens than there were', () => {
    expect(costOf({ input: 1, cachedInput: 0, output: 0 }, { ...usage, cachedTokens: 9_000_000 })).toBe(0)
  })
})
