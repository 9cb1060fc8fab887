import { canonicalJson } from '../../operators/hash.ts'
import { type OperatorName, operators } from '../../operators/index.ts'
import { firstLine } from '../chain/main-line.ts'
import { type Recipe, recipes } from '../config/recipes.ts'
import { defineCommand } from '../terminal/command.ts'
import { table } from '../terminal/output.ts'

export const command = defineCommand({
  name: 'recipes',
  summary: 'lists chains for a purpose: their operators, and the options that differ from the defaults',
  usage: '',
  words: { min: 0, max: 0 },
  settings: [],
  options: {},
  examples: ['situ recipes', 'situ run --recipe careful'],
  notes: ['What the configuration file says of an operator goes before the recipe.'],
  async run({ config, output }) {
    const listed = Object.entries<Recipe>(recipes).map(([name, recipe]) => ({
      name,
      summary: recipe.summary,
      about: recipe.about,
      operators: firstLine(recipe.operators).map(stage => stage.name),
      options: differences(recipe),
    }))
    if (config.settings.json) await output.json({ recipes: listed })
    else await output.line(listed.map(render).join('\n\n'))
    return 0
  },
})

/** What a recipe changes, as `operator.option: value`. */
function differences({ options }: Recipe): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, own]) => {
      const defaults = operators[name as OperatorName].options.parse({}) as Record<string, unknown>
      const changed = Object.entries(own).filter(
        ([key, value]) => canonicalJson(defaults[key]) !== canonicalJson(value),
      )
      return changed.map(([key, value]) => [`${name}.${key}`, value])
    }),
  )
}

interface Listed extends Pick<Recipe, 'summary' | 'about' | 'operators'> {
  name: string
  options: Record<string, unknown>
}

function render({ name, summary, about, operators, options }: Listed): string {
  const changed = Object.entries(options).map(([key, value]) => `${key} ${JSON.stringify(value)}`)
  const rows = [
    ['  operators', operators.join(', ')],
    ...(changed.length > 0 ? [['  options', changed.join(', ')]] : []),
    ['  note', about],
  ]
  return `${name}: ${summary}\n${table(rows)}`
}
