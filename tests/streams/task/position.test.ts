import { describe, expect, it } from 'vitest'
import { Position } from '../../../streams/task/position.ts'

/** Reads and finishes as a task does, and gives what a commit would store. */
function worked(taken: number[], finished: number[]): Position {
  const position = new Position('document')
  for (const offset of taken) position.take(offset)
  position.finish(finished)
  return position
}

describe('Position', () => {
  it('stands at the oldest offset that is not finished', () => {
    expect(worked([0, 1, 2, 3], [0, 2]).toRecord()).toEqual({
      topic: 'document',
      topicId: null,
      next: 1,
      finished: [1, 1],
    })
  })

  it('stands behind everything when all is finished', () => {
    const position = worked([0, 1], [0, 1])
    position.pass(5)
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 5, finished: [] })
  })

  it('stores runs of finished offsets as pairs counted from the position', () => {
    expect(worked([10, 11, 12, 13, 14, 15, 16], [11, 12, 13, 15]).toRecord()).toEqual({
      topic: 'document',
      topicId: null,
      next: 10,
      finished: [1, 3, 5, 5],
    })
  })

  it('counts offsets that the log has no message for as finished', () => {
    expect(worked([0, 4, 9], [4, 9]).toRecord()).toEqual({
      topic: 'document',
      topicId: null,
      next: 0,
      finished: [1, 9],
    })
    expect(worked([0, 4, 9], [0, 4]).toRecord()).toEqual({ topic: 'document', topicId: null, next: 9, finished: [] })
  })

  it('does not take what an earlier run has finished', () => {
    const stored = worked([0, 1, 2, 3, 4], [1, 2, 4]).toRecord()
    const position = new Position('document', stored)
    expect([0, 1, 2, 3, 4, 5].filter(offset => position.take(offset))).toEqual([0, 3, 5])
  })

  it('keeps finished offsets that a restarted task has not read again yet', () => {
    const stored = worked([0, 1, 2, 3, 4], [1, 3, 4]).toRecord()
    const position = new Position('document', stored)
    position.take(0)
    expect(position.toRecord()).toEqual(stored)
    position.take(1)
    position.take(2)
    position.take(3)
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 0, finished: [1, 1, 3, 3, 4, 4] })
    position.finish([0, 2])
    position.take(4)
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 5, finished: [] })
  })

  it('keeps which topic its offsets are of', () => {
    expect(new Position('document', { next: 3, topicId: 'a1' }).toRecord()).toMatchObject({ next: 3, topicId: 'a1' })
  })

  it('takes a failed commit back', () => {
    const position = worked([0, 1, 2], [0])
    const undo = position.finish([1, 2])
    expect(position.next).toBe(3)
    undo()
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 1, finished: [] })
  })

  it('tells apart what is committed from what the running commit makes so', () => {
    const position = worked([0, 1, 2], [0, 1])
    position.skip(3)
    expect([position.next, position.settledTo]).toEqual([2, 0])
    position.settle()
    expect([position.next, position.settledTo]).toEqual([2, 2])
    position.finish([2])
    position.settle()
    expect([position.settledTo, position.window]).toEqual([4, 0])
  })

  it('forgets what lies below it', () => {
    const position = worked([0, 1, 2, 3], [0, 1, 3])
    position.settle()
    expect(position.window).toBe(2)
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 2, finished: [1, 1] })
  })

  it('counts what was read behind the last message as finished, while an older one is open', () => {
    const position = worked([0, 1, 2], [1, 2])
    position.pass(4)
    expect(position.toRecord()).toEqual({ topic: 'document', topicId: null, next: 0, finished: [1, 3] })
  })

  it('gives back every finished set, whatever was finished in whatever order', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = generator(seed)
      const offsets = Array.from({ length: 40 }, (_, index) => index * (1 + (seed % 3)))
      const finished = offsets.filter(() => random() < 0.5)
      const position = new Position('document', worked(offsets, finished).toRecord())
      const open = offsets.filter(offset => offset >= position.next && position.take(offset))
      expect(open).toEqual(offsets.filter(offset => !finished.includes(offset)))
    }
  })
})

function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}
