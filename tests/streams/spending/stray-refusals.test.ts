import { beforeEach, describe, expect, it } from 'vitest'
import { StrayRefusals } from '../../../streams/spending/stray-refusals.ts'

describe('StrayRefusals', () => {
  let now: number
  let strays: StrayRefusals
  beforeEach(() => {
    now = 0
    strays = new StrayRefusals()
  })

  /** Calls at 20 a second, the last of which is refused. */
  const refuse = (gap: number, isBelow = true) => {
    begin(gap)
    return strays.judge({ now, gap, isBelow, perSecond: 20 })
  }
  const begin = (calls: number) => {
    for (let call = 0; call < calls; call++) {
      now += 50
      strays.begun(now, true)
    }
  }
  /** What is refused in two pairs that stand alone. */
  const learn = () => [refuse(40), refuse(50), refuse(60), refuse(50)]

  it('takes refusals for strays where a decrease ends nothing: two pairs that stand alone', () => {
    expect(refuse(200, false)).toBe('unclear')
    expect([refuse(40), refuse(50), strays.share]).toEqual(['stray', 'unclear', 0])
    expect([refuse(60), refuse(50)]).toEqual(['stray', 'stray'])
    expect(strays.share).toBeGreaterThan(0.005)
  })

  it('takes refusals above the rate that was refused last for unclear, however many stand alone', () => {
    expect([1, 2, 3, 4, 5, 6].map(() => refuse(150, false))).toEqual(new Array(6).fill('unclear'))
    expect(strays.share).toBe(0)
  })

  it('never takes those that follow each other at once for strays', () => {
    expect([40, 1, 2, 1, 3, 1, 2, 1].map(gap => refuse(gap)).filter(cause => cause === 'unclear')).toHaveLength(4)
    expect([strays.share, strays.isWatching]).toEqual([0, false])
  })

  it('forgets the first pair where nothing more is refused at the lower rate', () => {
    refuse(40)
    refuse(50)
    expect(strays.isWatching).toBe(true)
    begin(110)
    expect(strays.isWatching).toBe(false)
    expect([refuse(40), refuse(50), strays.share]).toEqual(['stray', 'unclear', 0])
  })

  it('bears the known share, and finds a limit by a few refusals in a row', () => {
    learn()
    for (let stray = 0; stray < 20; stray++) expect(refuse(50)).toBe('stray')
    expect(strays.share).toBeCloseTo(0.02, 2)
    const causes = [1, 2, 3, 4, 5].map(() => refuse(3, false))
    expect(causes).toContain('limit')
    expect(causes[0]).toBe('stray')
  })

  it('forgets strays that no longer come', () => {
    learn()
    begin(20_000)
    expect(strays.share).toBe(0)
    expect(refuse(300, false)).toBe('unclear')
  })
})
