import { describe, expect, it } from 'vitest'
import { wantedOperators } from '../../../streams/chain/main-line.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { withOperatorFlags } from '../../../streams/config/operator-flags.ts'
import { situ } from '../../support/situ.ts'

const { config } = readConfig({}, {})

describe('flags for options of operators', () => {
  it('put score in the chain with what they say', () => {
    const own = withOperatorFlags(config, { minimumScore: 5, require: ['technicalAccuracy'] })
    expect(own.operators.score?.options).toMatchObject({ minimumScore: 5, require: ['technicalAccuracy'] })
    expect(wantedOperators([], own)).toEqual(['score'])
    expect(config.operators.score?.options).toMatchObject({ minimumScore: 3, require: [] })
  })

  it("go before those of a recipe, for people's instructions too", () => {
    const paper = readConfig({ recipe: 'paper' }, {}).config
    const own = withOperatorFlags(paper, { minimumRealScore: 6, minimumScore: 4 })
    expect(own.operators['score-real']?.options).toMatchObject({ minimumScore: 6 })
    expect(own.operators.score?.options).toMatchObject({ minimumScore: 4 })
    expect(wantedOperators([], own)).toEqual(wantedOperators([], paper))
  })

  it('leave the configuration as it is where none is given', () => {
    expect(withOperatorFlags(config, {})).toBe(config)
  })

  it.each([
    ['--minimum-score', '8', 'too large, got "8"'],
    ['--minimum-real-score', 'many', 'got "many"'],
    ['--require', 'specificity,speed', 'speed is no criterion: there are specificity,'],
  ])('are refused by name: %s %s', async (flag, value, rule) => {
    const { code, stderr } = await situ(['run', flag, value])
    expect(code).toBe(2)
    expect(stderr).toContain(`${flag}`)
    expect(stderr).toContain(rule)
  })
})
