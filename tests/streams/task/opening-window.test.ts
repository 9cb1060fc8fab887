import { describe, expect, it } from 'vitest'
import { commonestOpening, OpeningWindow } from '../../../streams/task/opening-window.ts'

const numbered = (count: number, text: (number: number) => string) => Array.from({ length: count }, (_, at) => text(at))

describe('the openings of a task', () => {
  it('are told by how often they came, the commonest first, five at most', () => {
    const window = new OpeningWindow()
    expect(window.told).toBeNull()
    window.add(['a', 'b', 'a', 'c', 'b', 'a', 'd', 'e', 'f'])
    expect(window.told?.outputs).toBe(9)
    expect(window.told?.commonest.slice(0, 2)).toEqual([
      { text: 'a', count: 3 },
      { text: 'b', count: 2 },
    ])
    expect(window.told?.commonest).toHaveLength(5)
    window.add([])
    expect(window.told?.outputs).toBe(9)
  })

  it('are those of the last thousand outputs', () => {
    const window = new OpeningWindow()
    window.add(numbered(900, () => 'old'))
    for (let turn = 0; turn < 7; turn += 1) window.add(numbered(50, at => `new ${at}`))
    expect(window.told).toMatchObject({
      outputs: 1_000,
      commonest: [{ text: 'old', count: 650 }, { count: 7 }, {}, {}, {}],
    })
    window.add(numbered(1_500, at => (at % 4 === 0 ? 'fourth' : `${at}`)))
    expect(window.told).toMatchObject({
      outputs: 1_000,
      commonest: [{ text: 'fourth', count: 250 }, { count: 1 }, {}, {}, {}],
    })
  })
})

describe('the commonest opening of a stage', () => {
  it('is that of all its tasks together', () => {
    const commonest = commonestOpening([
      {
        outputs: 100,
        commonest: [
          { text: 'left', count: 30 },
          { text: 'both', count: 20 },
        ],
      },
      null,
      undefined,
      { outputs: 300, commonest: [{ text: 'both', count: 60 }] },
    ])
    expect(commonest).toEqual({ text: 'both', share: 0.2, outputs: 400 })
  })

  it('is none where no task has told any', () => {
    expect(commonestOpening([null, undefined])).toBeNull()
    expect(commonestOpening([])).toBeNull()
  })
})
