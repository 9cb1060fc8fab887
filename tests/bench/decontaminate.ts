/** Benchmark prompts: how many planted ones are found, false alarms, and texts per CPU second. */
import { BenchmarkIndex, type BenchmarkPrompt } from '../../operators/decontaminate/benchmark-index.ts'
import { findPlanted } from '../operators/decontaminate/planted-prompts.ts'
import { sharedPrompts } from '../operators/decontaminate/same-text.ts'
import { hasBenchmarks, japanesePrompts, readBenchmarks } from '../support/benchmarks.ts'
import { cpuSeconds, usedBytes } from '../support/cost.ts'
import { hasSharedData, readDocuments } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { standInInstructions } from '../support/stand-in-instructions.ts'

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasBenchmarks) console.log('the shared benchmarks are not there: figures for the prompts in Japanese alone')
  if (!hasSharedData) console.log('the shared corpus is not there: the documents are generated')
  const sets = readBenchmarks()
  const prompts = [...[...sets.values()].flat(), ...japanesePrompts]
  const made = (await standInInstructions(options.short ? 600 : 3_000)).map(({ text }) => text)
  const before = usedBytes()
  let index = new BenchmarkIndex([])
  const seconds = cpuSeconds(() => {
    index = new BenchmarkIndex(prompts)
  })
  const bytes = usedBytes() - before
  report(
    'decontaminate',
    [
      { name: 'prompts', value: index.size },
      { name: 'index, time to build', value: seconds, unit: 'CPU s' },
      { name: 'index, memory', value: bytes / 1e6, unit: 'MB' },
      ...measureShared(sets),
      ...measurePlanted(index, prompts, made),
      ...measureAlarms(index, 'made instructions', made, { most: 0.001 }),
      ...measureAlarms(
        index,
        'documents of the corpus',
        readDocuments(options.short ? 300 : 3_000).map(({ text }) => text),
      ),
    ],
    options,
  )
}

function measureShared(sets: ReadonlyMap<string, readonly BenchmarkPrompt[]>): Figure[] {
  return [...sets].flatMap(([first, prompts]) => {
    const index = new BenchmarkIndex(prompts)
    return [...sets].flatMap(([second, others]) => {
      const shared = first < second ? sharedPrompts(prompts, others) : []
      if (shared.length === 0) return []
      const found = shared.filter(({ prompt, equals }) => equals.some(({ id }) => id === index.find(prompt.text)?.id))
      return [{ name: `${first} and ${second}, found of ${shared.length} shared`, value: found.length }]
    })
  })
}

function measurePlanted(
  index: BenchmarkIndex,
  prompts: readonly BenchmarkPrompt[],
  around: readonly string[],
): Figure[] {
  return [...findPlanted(index, prompts, around)].map(([kind, { planted, found }]) => ({
    name: `found of ${planted} planted, ${kind}`,
    value: found / planted,
    goal: { least: 0.99 },
  }))
}

function measureAlarms(
  index: BenchmarkIndex,
  what: string,
  texts: readonly string[],
  goal?: { most: number },
): Figure[] {
  const alarms: string[] = []
  const seconds = cpuSeconds(() => {
    for (const text of texts) {
      const match = index.find(text)
      if (match) alarms.push(`${match.benchmark} ${match.id}: ${match.ngram}`)
    }
  })
  for (const alarm of alarms.slice(0, 10)) console.log(`found in ${what}: ${alarm}`)
  const characters = texts.reduce((sum, { length }) => sum + length, 0)
  return [
    { name: `${what}, share with a prompt`, value: alarms.length / texts.length, ...(goal && { goal }) },
    {
      name: `${what}, of ${Math.round(characters / texts.length)} characters`,
      value: texts.length / seconds,
      unit: 'texts per CPU second',
    },
  ]
}
