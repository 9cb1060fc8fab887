/** The checks of made instructions: precision and recall on labelled ones that were set aside, and texts per CPU second. */
import { examine, examineText } from '../../operators/examine.ts'
import { detectLanguage } from '../../operators/language.ts'
import { examineLabel, readLabels, scoreOf } from '../operators/examine/labelled.ts'
import { hasSharedData } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { standInInstructions } from '../support/stand-in-instructions.ts'

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasSharedData) console.log('the shared corpus is not there: the documents are generated')
  const labels = readLabels('aside')
  if (options.values.show) await showErrors(labels)
  report(
    'examine',
    [
      { name: 'labelled instructions set aside', value: labels.length },
      ...(await measureScores(labels)),
      ...(await measureMade(options.short ? 300 : 3_000)),
    ],
    options,
  )
}

async function measureScores(labels: ReturnType<typeof readLabels>): Promise<Figure[]> {
  const scores = [...(await scoreOf(labels))].sort(
    ([left], [right]) => Number(left === 'any') - Number(right === 'any'),
  )
  return scores.flatMap(([name, { bad, found, right }]) => [
    { name: `${name}: precision, ${right} of ${found} found`, value: right / found },
    { name: `${name}: recall, ${right} of ${bad} bad`, value: right / bad },
  ])
}

/** What the stand-in writes is whole and carries its excerpt: what fails here is mostly a false alarm. */
async function measureMade(count: number): Promise<Figure[]> {
  const defaults = examine.options.parse({})
  const made = await standInInstructions(count)
  const languages = await Promise.all(made.map(({ document }) => detectLanguage(document.text)))
  const failing: Record<string, number> = {}
  const before = process.cpuUsage()
  for (const [at, { text, document }] of made.entries()) {
    const excerpt = { text: document.text, title: document.title, language: languages[at] ?? null }
    for (const [name, { ok }] of Object.entries(await examineText(text, excerpt, defaults))) {
      failing[name] = (failing[name] ?? 0) + Number(!ok)
    }
  }
  const { user, system } = process.cpuUsage(before)
  return [
    ...Object.entries(failing).map(([name, value]) => ({ name: `of ${count} made ones not ok, ${name}`, value })),
    { name: 'speed', value: (count / (user + system)) * 1e6, unit: 'texts per CPU second' },
  ]
}

/** With --show=1: to read, not to tune by. */
async function showErrors(labels: ReturnType<typeof readLabels>): Promise<void> {
  for (const label of labels) {
    for (const [name, { ok, evidence }] of Object.entries(await examineLabel(label))) {
      if (ok === label.bad.includes(name)) {
        console.log(
          `${ok ? 'missed' : 'false alarm'} ${label.id} ${name}: ${evidence ?? ''} | ${label.text.slice(0, 100).replaceAll('\n', ' ')}`,
        )
      }
    }
  }
}
