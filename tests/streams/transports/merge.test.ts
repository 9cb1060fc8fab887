import { describe, expect, it } from 'vitest'
import { merge } from '../../../streams/transports/merge.ts'

/** A reader whose items come when the test says so. */
class Hand<T> {
  readonly #waiting: PromiseWithResolvers<IteratorResult<T>>[] = []
  asked = 0
  left = 0

  give(value: T): void {
    this.#waiting.shift()?.resolve({ done: false, value })
  }

  end(): void {
    this.#waiting.shift()?.resolve({ done: true, value: undefined })
  }

  fail(error: Error): void {
    this.#waiting.shift()?.reject(error)
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => {
        this.asked++
        const result = Promise.withResolvers<IteratorResult<T>>()
        this.#waiting.push(result)
        return result.promise
      },
      return: async () => {
        this.left++
        return { done: true, value: undefined }
      },
    }
  }
}

async function* of(...items: string[]) {
  yield* items
}

describe('merge', () => {
  it('gives all items of all readers, those of one in their order', async () => {
    const items = await Array.fromAsync(merge([of('a1', 'a2', 'a3'), of(), of('b1', 'b2')]))
    expect(items.toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'b2'])
    expect(items.filter(item => item.startsWith('a'))).toEqual(['a1', 'a2', 'a3'])
    expect(await Array.fromAsync(merge([]))).toEqual([])
  })

  it('does not wait for a silent reader, and takes one item ahead of each at most', async () => {
    const [silent, busy] = [new Hand<string>(), new Hand<string>()]
    const merged = merge([silent, busy])
    const first = merged.next()
    busy.give('1')
    expect(await first).toEqual({ done: false, value: '1' })
    const second = merged.next()
    busy.give('2')
    expect(await second).toEqual({ done: false, value: '2' })
    expect(silent.asked).toBe(1)
    expect(busy.asked).toBe(3)
  })

  it('lets no busy reader keep another from its turn', async () => {
    const forever = (name: string) =>
      (async function* () {
        for (;;) yield name
      })()
    const seen = new Set<string>()
    for await (const item of merge([forever('a'), forever('b'), forever('c')])) {
      seen.add(item)
      if (seen.size === 3) break
    }
    expect(seen.size).toBe(3)
  })

  it('ends the other readers where it is left, and does not wait for a silent one', async () => {
    const [silent, busy] = [new Hand<string>(), new Hand<string>()]
    const merged = merge([silent, busy])
    const first = merged.next()
    busy.give('1')
    await first
    await merged.return(undefined)
    expect([silent.left, busy.left]).toEqual([1, 1])
  })

  it('passes an error on and ends the others; a later one of theirs troubles nobody', async () => {
    const [broken, other] = [new Hand<string>(), new Hand<string>()]
    const merged = merge([broken, other])
    const first = merged.next()
    broken.fail(new Error('torn'))
    await expect(first).rejects.toThrow('torn')
    expect(other.left).toBe(1)
    other.fail(new Error('too late'))
    expect(await merged.next()).toEqual({ done: true, value: undefined })
  })

  it('ends when all have ended', async () => {
    const [one, two] = [new Hand<string>(), new Hand<string>()]
    const merged = merge([one, two])
    const first = merged.next()
    one.end()
    two.end()
    expect(await first).toEqual({ done: true, value: undefined })
  })
})
