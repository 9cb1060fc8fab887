import { describe, expect, it } from 'vitest'
import type { StatefulIndex } from '../../../operators/dedup/near-duplicate-index.ts'
import { randomFrom, words } from './planted-texts.ts'

/** What every index must do, whatever its engine. */
export function testStatefulIndex(name: string, create: () => StatefulIndex): void {
  const text = (seed: number, length = 40) => words(randomFrom(seed), length).join(' ')

  describe(`${name}, as a stateful index`, () => {
    it('keeps the first of equal texts and names it', () => {
      const index = create()
      expect(index.insert('first', text(1))).toBeNull()
      expect(index.insert('other', text(2))).toBeNull()
      expect(index.insert('second', `  ${text(1).toUpperCase()}\n`)).toEqual({ id: 'first', similarity: 1 })
      expect(index.insert('third', text(1))).toEqual({ id: 'first', similarity: 1 })
      expect(index.size).toBe(2)
    })

    it.each(['', 'a', 'two words', '短い', '!'])('compares the short text %j by its hash', short => {
      const index = create()
      expect(index.insert('one', short)).toBeNull()
      expect(index.insert('two', `${short}x`)).toBeNull()
      expect(index.insert('three', short)).toEqual({ id: 'one', similarity: 1 })
    })

    it('gives the pending entries in order, and none after they are confirmed', () => {
      const index = create()
      index.insert('a', text(1))
      index.insert('b', 'short')
      index.insert('c', text(1))
      expect(index.pending().map(entry => entry.id)).toEqual(['a', 'b'])
      index.confirm()
      expect(index.pending()).toEqual([])
      index.insert('d', text(2))
      expect(index.pending().map(entry => entry.id)).toEqual(['d'])
      expect(index.size).toBe(3)
    })

    it('hands out entries that later inserts and rollbacks do not change', () => {
      const index = create()
      index.insert('a', text(1))
      const entries = index.pending()
      const before = JSON.stringify(entries)
      index.rollback()
      for (let seed = 2; seed < 200; seed += 1) index.insert(`n${seed}`, text(seed))
      expect(JSON.stringify(entries)).toBe(before)
    })

    it('takes back what was inserted since the last confirm, and nothing else', () => {
      const index = create()
      index.insert('kept', text(1))
      index.confirm()
      index.insert('lost', text(2))
      index.insert('lost too', 'short')
      index.rollback()
      expect(index.size).toBe(1)
      expect(index.pending()).toEqual([])
      expect(index.insert('again', text(1))).toEqual({ id: 'kept', similarity: 1 })
      expect(index.insert('new', text(2))).toBeNull()
      expect(index.insert('new too', 'short')).toBeNull()
      expect(index.insert('repeat', text(2))).toEqual({ id: 'new', similarity: 1 })
    })

    it('takes back the pending entries from a number on, and keeps those before it', () => {
      const index = create()
      const texts = [1, 2, 3].map(seed => text(seed))
      index.insert('a', texts[0] ?? '')
      const before = index.pendingSize
      index.insert('b', texts[1] ?? '')
      index.insert('c', texts[2] ?? '')
      expect(index.pending(before).map(entry => entry.id)).toEqual(['b', 'c'])
      index.rollback(before)
      expect(index.pending().map(entry => entry.id)).toEqual(['a'])
      expect(index.insert('again', texts[1] ?? '')).toBeNull()
      expect(index.insert('twin', texts[0] ?? '')).toMatchObject({ id: 'a' })
    })

    it('is after any mixture of commits and rollbacks as if only the committed were inserted', () => {
      const random = randomFrom(7)
      const mixed = create()
      const clean = create()
      for (let batch = 0; batch < 60; batch += 1) {
        const fails = random() < 0.5
        for (let record = 0; record < 1 + random() * 20; record += 1) {
          const id = `${batch}/${record}`
          const content = text(Math.floor(random() * 400), 4 + (batch % 9))
          const twin = mixed.insert(id, content)
          if (!fails) expect(twin).toEqual(clean.insert(id, content))
        }
        if (fails) mixed.rollback()
        else mixed.confirm()
        clean.confirm()
        expect(mixed.size).toBe(clean.size)
      }
      for (let seed = 0; seed < 400; seed += 1) {
        expect(mixed.insert('probe', text(seed, 9))).toEqual(clean.insert('probe', text(seed, 9)))
      }
    })

    it('goes on from restored entries as it would have gone on itself', () => {
      const first = create()
      for (let seed = 0; seed < 50; seed += 1) first.insert(`id ${seed}`, seed % 7 === 0 ? `s ${seed}` : text(seed))
      const second = create()
      for (const entry of first.pending()) second.restore(entry)
      first.confirm()
      expect(second.size).toBe(first.size)
      expect(second.pending()).toEqual([])
      for (let seed = 0; seed < 80; seed += 1) {
        expect(second.insert('probe', text(seed))).toEqual(first.insert('probe', text(seed)))
      }
    })

    it('takes an entry that is read twice once', () => {
      const index = create()
      index.insert('a', text(1))
      const [entry] = index.pending()
      const other = create()
      for (let times = 0; entry && times < 3; times += 1) other.restore(entry)
      expect(other.size).toBe(1)
    })

    it('refuses an entry of another engine or of the wrong size', () => {
      const index = create()
      index.insert('a', text(1))
      const [entry] = index.pending()
      if (!entry) throw new Error('no entry')
      const wrong = [
        { ...entry, exact: Buffer.alloc(3) },
        { ...entry, slots: Buffer.alloc(5) },
      ]
      for (const bad of wrong) {
        expect(() => create().restore(bad)).toThrow(expect.objectContaining({ code: 'RECORD_INVALID' }))
      }
      expect(() => create().restore({ ...entry, engine: 'another/9' })).toThrow(
        expect.objectContaining({
          code: 'CONFIGURATION_CHANGED',
          message: expect.stringMatching(/signature of a .*another\/9/),
        }),
      )
    })

    it('gives the same entries and twins in two instances', () => {
      const [left, right] = [create(), create()]
      for (let seed = 0; seed < 60; seed += 1) {
        const content = text(seed % 40, 3 + (seed % 50))
        expect(left.insert(`${seed}`, content)).toEqual(right.insert(`${seed}`, content))
      }
      expect(left.pending()).toEqual(right.pending())
    })
  })
}
