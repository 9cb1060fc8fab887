import { describe, expect, it } from 'vitest'
import { copiedRuns } from '../../../operators/examine/copied-runs.ts'
import { unitsOf } from '../../../operators/text-units.ts'

const document = 'one two three four five six seven eight nine ten eleven twelve'

function runsOf(text: string, source = document) {
  return copiedRuns(unitsOf(text), unitsOf(source))
}

describe('copiedRuns', () => {
  it('finds runs of 8 words, and none of 7', () => {
    expect(runsOf('x TWO, three four five six seven eight; nine y z')).toEqual({
      share: 8 / 11,
      longest: 'two three four five six seven eight nine',
    })
    expect(runsOf('x two three four five six seven eight y')).toEqual({ share: 0, longest: '' })
  })

  it('adds up several runs and names the longest', () => {
    const text = `${document.slice(0, 44)} x ${document}`
    expect(runsOf(text)).toEqual({ share: 21 / 22, longest: document })
  })

  it('counts characters where the script has no spaces: 14 in a row', () => {
    const source = '渡轮每天早上九点出发前往岛屿，最好提前到达码头。'
    expect(runsOf('问：渡轮每天早上九点出发前往岛屿吗', source).share).toBeCloseTo(14 / 16)
    expect(runsOf('问：渡轮每天早上九点出发前往岛吗', source).share).toBe(0)
  })

  it('is done soon with texts that repeat two words a hundred thousand times', () => {
    expect(runsOf('to and fro '.repeat(50_000), 'and fro to '.repeat(50_000)).share).toBeCloseTo(1, 3)
  })
})
