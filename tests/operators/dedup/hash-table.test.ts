import { describe, expect, it } from 'vitest'
import { HashTable } from '../../../operators/dedup/hash-table.ts'
import { randomFrom } from './planted-texts.ts'

function valuesOf(table: HashTable, hash: number): number[] {
  const values: number[] = []
  table.each(hash, value => values.push(value))
  return values.sort((left, right) => left - right)
}

describe('HashTable', () => {
  it('agrees with a Map over random additions and removals', () => {
    const random = randomFrom(1)
    const table = new HashTable()
    const model = new Map<number, Set<number>>()
    for (let step = 0; step < 30_000; step += 1) {
      const hash = Math.floor(random() * 3_000) * 977
      const values = model.get(hash) ?? new Set<number>()
      model.set(hash, values)
      if (random() < 0.6 && values.size < 8) {
        table.add(hash, step)
        values.add(step)
      } else {
        const [value] = values
        if (value === undefined) continue
        table.remove(hash, value)
        values.delete(value)
      }
    }
    for (const [hash, values] of model) expect(valuesOf(table, hash)).toEqual([...values].sort((a, b) => a - b))
  })

  it('keeps at most eight values under one hash', () => {
    const table = new HashTable()
    for (let value = 0; value < 10_000; value += 1) table.add(7, value)
    expect(valuesOf(table, 7)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    table.remove(7, 9_000)
    table.remove(8, 0)
    expect(valuesOf(table, 7)).toHaveLength(8)
  })

  it('holds the highest hash and the value 0', () => {
    const table = new HashTable()
    table.add(0xffffffff, 0)
    table.add(0, 1)
    expect(valuesOf(table, 0xffffffff)).toEqual([0])
    expect(valuesOf(table, 0)).toEqual([1])
  })
})
