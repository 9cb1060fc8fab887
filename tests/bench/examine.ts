/** The checks of made instructions: precision and recall on labelled ones that were set aside, and texts per CPU second. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { examine, examineText } from '../../operators/examine.ts'
import { detectLanguage } from '../../operators/language.ts'
import { examineLabel, readLabels, scoreOf } from '../operators/examine/labelled.ts'
import { hasSharedData, seeded, sharedData, type TestDocument } from '../support/documents.ts'
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
      ...(await measurePlanted(options.short ? 100 : 500)),
      ...(await measureWritten()),
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

/** Faults that are made by rule, so that no author's view of them decides. */
async function measurePlanted(count: number): Promise<Figure[]> {
  const made = await standInInstructions(count)
  const random = seeded(1)
  let otherDocument = 0
  let cut = 0
  for (const [at, { text, document }] of made.entries()) {
    const other = made[(at + Math.floor(count / 2)) % count]?.document ?? document
    if (!(await checksOf(text, other)).grounded.ok) otherDocument += 1
    const beginning = text.slice(0, Math.floor(text.length * (0.5 + 0.45 * random())))
    if (!(await checksOf(beginning, document)).complete.ok) cut += 1
  }
  return [
    { name: `of ${count} with the document of another, found not grounded`, value: otherDocument },
    { name: `of ${count} cut anywhere, found not complete`, value: cut },
  ]
}

async function checksOf(text: string, document: TestDocument | null) {
  return examineText(text, document && { ...document, language: 'en' }, examine.options.parse({}))
}

/** Instructions that people wrote, as they are, and without the input that follows the request behind a blank line. */
async function measureWritten(): Promise<Figure[]> {
  const texts = readWritten()
  let alarms = 0
  let withInput = 0
  let missing = 0
  for (const text of texts) {
    if (Object.values(await checksOf(text, null)).some(({ ok }) => !ok)) alarms += 1
    const end = text.indexOf('\n\n')
    if (end < 0) continue
    withInput += 1
    if (!(await checksOf(text.slice(0, end), null)).selfContained.ok) missing += 1
  }
  return [
    { name: `of ${texts.length} written by people, something not ok`, value: alarms },
    { name: `of ${withInput} written by people without their input, found not self-contained`, value: missing },
  ]
}

function readWritten(): string[] {
  const folder = join(sharedData, 'instructions')
  const files = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.jsonl')) : []
  return files.flatMap(file => {
    const rows = readFileSync(join(folder, file), 'utf8').trimEnd().split('\n')
    return rows.map(row => String((JSON.parse(row) as { text: unknown }).text))
  })
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
