import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { wantedOperators } from '../../../streams/chain/main-line.ts'
import { anyOperator } from '../../../streams/chain/topology.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { type Recipe, recipes } from '../../../streams/config/recipes.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

const all = Object.entries<Recipe>(recipes)

describe('recipes', () => {
  it.each(all)('%s has optional operators only, and options that those have', (name, recipe) => {
    const { config, problems } = readConfig({ recipe: name }, {})
    expect(problems).toEqual([])
    for (const operator of recipe.operators) expect(anyOperator[operator].optional).toBeTruthy()
    expect(wantedOperators([], config)).toEqual(expect.arrayContaining([...recipe.operators]))
    for (const [operator, options] of Object.entries(recipe.options)) {
      expect(config.operators[operator]?.options).toMatchObject(options)
    }
  })

  it('give way to what the configuration file says of an operator', () => {
    const text = 'recipe: careful\noperators:\n  mask: { enabled: false }\n  situate: { demonstrations: 4 }\n'
    const file = join(folder, 'careful.yaml')
    writeFileSync(file, text)
    const { config, problems } = readConfig({ config: file }, {})
    expect(problems).toEqual([])
    expect(wantedOperators([], config)).toEqual(['examine', 'moderate', 'score'])
    expect(config.operators.situate?.options).toMatchObject({ demonstrations: 4, maxPromptTokens: 7500 })
    expect(config.operators['dedupe-document']?.options).toMatchObject({ nearDuplicates: true })
  })

  it('are named in the error for one that is none', () => {
    expect(readConfig({ recipe: 'chep' }, {}).problems.join()).toContain('cheap')
  })
})
