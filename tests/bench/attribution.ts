/**
 * Instructions of people through the branch of demonstrations, then documents through the main line with what it made:
 * calls for each item as the provider counted them, prompts within their limit, and demonstrations that fitted.
 */
import { promptOptions } from '../../operators/composition.ts'
import { type BranchRun, runBranch } from '../support/branch-run.ts'
import { hasSharedData } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'

const { maxPromptTokens } = promptOptions.parse({})

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasSharedData) throw new Error('the shared data is not there: nobody else has written instructions')
  const documents = Number(options.values.documents ?? (options.short ? 100 : 500))
  const instructions = Number(options.values.instructions ?? (options.short ? 60 : 175))
  for (const recipe of [null, 'paper']) {
    const folder = temporaryFolder()
    try {
      const result = await runBranch(folder, { documents, instructions, recipe })
      for (const [operator, { histogram }] of Object.entries(result.shown)) {
        const counts = Object.entries(histogram).map(([shown, records]) => `${shown}: ${records}`)
        console.log(`${operator}: demonstrations that fitted, and records: ${counts.join(', ')}`)
      }
      const given = [
        { name: 'documents', value: documents },
        { name: 'instructions of people', value: instructions },
      ]
      report(`attribution, ${recipe ?? 'default options'}`, [...given, ...figuresOf(result)], options)
    } finally {
      removeFolder(folder)
    }
  }
}

function figuresOf({ status, steps, strayCalls, snapshot, shown }: BranchRun): Figure[] {
  const { topics, operators, conservation } = status
  const outcomes = Object.entries(operators).flatMap(([name, { in: inputs, done }]) => [
    { name: `${name}: inputs`, value: inputs },
    { name: `${name}: done`, value: done, goal: { least: 1 } },
  ])
  const asked = steps.flatMap(({ operator, items, calls, once, longestPrompt }) => [
    { name: `${operator}: items`, value: items, goal: { least: 1 } },
    { name: `${operator}: calls an item`, value: calls / items, goal: { most: 1 } },
    { name: `${operator}: items without exactly one call`, value: items - once, goal: { most: 0 } },
    { name: `${operator}: longest prompt`, value: longestPrompt, unit: 'tokens', goal: { most: maxPromptTokens } },
  ])
  const fitted = Object.entries(shown).map(([operator, { median }]) => {
    return { name: `${operator}: demonstrations that fitted, median`, value: median, goal: { least: 5 } }
  })
  const empty = Object.entries(topics).filter(
    ([topic, { records }]) => topic !== 'failed' && topic !== 'retry' && !records,
  )
  if (empty.length > 0) console.log(`without a record: ${empty.map(([topic]) => topic).join(', ')}`)
  return [
    ...outcomes,
    ...asked,
    { name: 'calls that belong to no record', value: strayCalls, goal: { most: 0 } },
    { name: 'topics without a record', value: empty.length, goal: { most: 0 } },
    { name: 'dead letters', value: topics.failed?.records ?? 0, goal: { most: 0 } },
    { name: 'conservation broken', value: conservation === 'ok' ? 0 : 1, goal: { most: 0 } },
    { name: 'demonstrations of the snapshot', value: snapshot.demonstrations },
    { name: 'of them built in', value: snapshot.builtIn, goal: { most: 0 } },
    ...fitted,
  ]
}
