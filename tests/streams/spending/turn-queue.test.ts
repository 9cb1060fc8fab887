import { describe, expect, it } from 'vitest'
import { TurnQueue } from '../../../streams/spending/turn-queue.ts'

describe('TurnQueue', () => {
  it('gives turns to the highest rank first, and within a rank in the order of coming', () => {
    const queue = new TurnQueue<string>()
    for (const [entry, rank] of [
      ['a1', 1],
      ['c1', 3],
      ['a2', 1],
      ['b1', 2],
      ['c2', 3],
    ] as const)
      queue.add(entry, rank)
    expect([...queue]).toEqual(['c1', 'c2', 'b1', 'a1', 'a2'])
    expect([queue.head, queue.size]).toEqual(['c1', 5])
  })

  it('forgets who leaves, once', () => {
    const queue = new TurnQueue<string>()
    queue.add('first', 1)
    queue.add('second', 1)
    expect([queue.remove('first', 1), queue.remove('first', 1)]).toEqual([true, false])
    expect([queue.head, queue.size]).toEqual(['second', 1])
    queue.remove('second', 1)
    expect([queue.head, queue.size]).toEqual([undefined, 0])
  })
})
