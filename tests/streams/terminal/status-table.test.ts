import { describe, expect, it } from 'vitest'
import type { Counters, Spent } from '../../../schemas/records.ts'
import { emptyCounters } from '../../../streams/task/task-record.ts'
import { renderSpent, usdPerRow } from '../../../streams/terminal/status-table.ts'

const big: Spent = {
  model: 'big',
  prompt: '0123456789abcdef',
  inputs: 4,
  calls: 5,
  fromCache: 1,
  promptTokens: 5_000,
  cachedTokens: 1_000,
  completionTokens: 800,
  costUsd: 2,
  unpriced: 0,
}

const counters = (more: Partial<Counters>): Counters => ({ ...emptyCounters(), ...more })

describe('what model calls cost, in words', () => {
  it('is a row for each operator, model and prompt', () => {
    const text = renderSpent({
      situate: counters({ spent: [big, { ...big, prompt: 'another', costUsd: 0.5, inputs: 1 }] }),
      instruct: counters({}),
    })
    const [, first, second, ...others] = text.split('\n').filter(line => line !== '')
    expect(first?.split(/\s{2,}/)).toEqual(
      expect.arrayContaining(['situate', 'big', '01234567', '4', '5', '1', '5000', '1000', '800', '2.0000', '0.5000']),
    )
    expect(second).toContain('0.5000')
    expect(others).toEqual([])
  })

  it('says where a price is not known', () => {
    const unknown = renderSpent({ situate: counters({ spent: [{ ...big, costUsd: 0, unpriced: 5 }] }) })
    expect(unknown).toContain('unknown')
    expect(renderSpent({ situate: counters({ spent: [{ ...big, unpriced: 2 }] }) })).toContain('over 2.0000')
  })

  it('is nothing where nothing was called', () => {
    expect(renderSpent({ extract: counters({}) })).toBe('')
  })

  it('is shared out among the rows that were kept, where all of it is known', () => {
    const stages = { situate: counters({ spent: [big] }), 'dedupe-instruction': counters({ out: 4 }) }
    expect(usdPerRow(stages)).toBe(0.5)
    expect(usdPerRow({ ...stages, instruct: counters({ spent: [{ ...big, unpriced: 1 }] }) })).toBeNull()
    expect(usdPerRow({ ...stages, 'dedupe-instruction': counters({}) })).toBeNull()
  })
})
