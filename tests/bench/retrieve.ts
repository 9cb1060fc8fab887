/** The right document for an instruction: how often it is found first, how often nothing is found where nothing serves. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { retrieve } from '../../operators/retrieve.ts'
import type { FoundDocument } from '../../operators/search.ts'
import { readConfig } from '../../streams/config/config.ts'
import { contentId } from '../../streams/identity.ts'
import { createSearch } from '../../streams/searches/index.ts'
import type { OpenSearch } from '../../streams/searches/search.ts'
import { hasSharedData, readDocuments, sharedData } from '../support/documents.ts'
import { writeDocuments } from '../support/documents-topic.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { memoryPipeline } from '../support/pipeline.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'

interface Case {
  /** Id of the text of the document that serves; left out where none does. */
  documentId?: string
  instruction: string
  keywords: string[]
}

interface Outcome extends Case {
  found: FoundDocument[]
}

const signal = new AbortController().signal
const { minimumRelevance: floor } = retrieve.options.parse({})

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasSharedData) return console.log(`the shared corpus is not there (${sharedData}): nothing can be measured`)
  const folder = temporaryFolder()
  try {
    const pipeline = await memoryPipeline()
    await writeDocuments(pipeline, readDocuments(3_000))
    const search = await createSearch(readConfig({ data: folder }, {}).config).open(pipeline)
    const begun = performance.now()
    await search.find(['first'], { limit: 1, signal })
    const indexSeconds = (performance.now() - begun) / 1000
    const figures = await measure(search)
    report('retrieve', [{ name: 'index, 3,000 documents', value: indexSeconds, unit: 's' }, ...figures], options)
    await search.close()
    await pipeline.close()
  } finally {
    removeFolder(folder)
  }
}

async function measure(search: OpenSearch): Promise<Figure[]> {
  const pairs = readCases('pairs')
  const none = readCases('none')
  const begun = performance.now()
  const [foundPairs, foundNone] = [await findAll(search, pairs), await findAll(search, none)]
  const searchMs = (performance.now() - begun) / (pairs.length + none.length)
  for (const half of ['tune', 'aside'] as const) showFloors(half, of(half, foundPairs), of(half, foundNone))
  return [
    { name: 'a search', value: searchMs, unit: 'ms' },
    ...(['tune', 'aside'] as const).flatMap(half => [
      ...pairFigures(half, of(half, foundPairs)),
      ...noneFigures(half, of(half, foundNone)),
    ]),
    ...(await guessFigures(search, pairs)),
  ]
}

function readCases(name: string): Case[] {
  const file = join(import.meta.dirname, '../fixtures/retrieve', `${name}.jsonl`)
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

/** Every second row was set aside: floor and ranking were chosen on the others. */
function of<T>(half: 'tune' | 'aside', rows: readonly T[]): T[] {
  return rows.filter((_, index) => index % 2 === (half === 'tune' ? 0 : 1))
}

async function findAll(search: OpenSearch, cases: readonly Case[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const one of cases) outcomes.push({ ...one, found: await search.find(one.keywords, { limit: 3, signal }) })
  return outcomes
}

function share<T>(rows: readonly T[], is: (row: T) => boolean): number {
  return rows.length === 0 ? 1 : rows.filter(is).length / rows.length
}

const isTaken = ({ found }: Outcome, least = floor) => (found[0]?.relevance ?? 0) >= least
const isRight = ({ found, documentId }: Outcome) => found[0]?.id === documentId

function pairFigures(half: string, outcomes: readonly Outcome[]): Figure[] {
  for (const outcome of outcomes.filter(one => !isRight(one) || !isTaken(one))) {
    const top = outcome.found[0]
    console.log(`${half}: ${outcome.instruction.slice(0, 70)}… got ${top?.title} (${top?.relevance.toFixed(2)})`)
  }
  const goal = { least: 0.9 }
  const taken = outcomes.filter(one => isTaken(one))
  return [
    {
      name: `${half}, right document first, of ${outcomes.length} pairs`,
      value: share(outcomes, one => isRight(one) && isTaken(one)),
    },
    { name: `${half}, precision at 1 of those taken`, value: share(taken, isRight), goal },
    { name: `${half}, right document among three that a model would see`, value: share(outcomes, isAmong) },
  ]
}

function isAmong({ found, documentId }: Outcome): boolean {
  return found.some(({ id, relevance }) => id === documentId && relevance >= floor)
}

function noneFigures(half: string, outcomes: readonly Outcome[]): Figure[] {
  for (const { instruction, found } of outcomes.filter(one => isTaken(one))) {
    console.log(`${half}: nothing serves ${instruction.slice(0, 60)}… but ${found[0]?.title} was taken`)
  }
  const value = share(outcomes, one => !isTaken(one))
  return [{ name: `${half}, none taken where none serves, of ${outcomes.length}`, value, goal: { least: 0.9 } }]
}

/** Where the floor could be: the shares of right ones above and of wrong ones below it. */
function showFloors(half: string, pairs: readonly Outcome[], none: readonly Outcome[]): void {
  const at = (least: number) => {
    const right = share(pairs, one => isRight(one) && isTaken(one, least))
    const empty = share(none, one => !isTaken(one, least))
    return `${least.toFixed(2)}: ${right.toFixed(2)} / ${empty.toFixed(2)}`
  }
  const floors = Array.from({ length: 9 }, (_, step) => at(0.25 + step * 0.05))
  console.log(`${half}, floor: right above / none below: ${floors.join(', ')}`)
}

/** The same without keywords that guess the title: a model that knows less of the subject does not have them. */
async function guessFigures(search: OpenSearch, pairs: readonly Case[]): Promise<Figure[]> {
  const titles = new Map(findTitles().map(({ id, title }) => [id, title.toLowerCase()]))
  const poorer = pairs.map(one => ({
    ...one,
    keywords: one.keywords.filter(keyword => !isGuess(keyword, one, titles)),
  }))
  const changed = poorer.filter(({ keywords }, index) => keywords.length < (pairs[index]?.keywords.length ?? 0)).length
  const outcomes = await findAll(search, poorer)
  const taken = outcomes.filter(one => isTaken(one))
  const how = `${changed} of ${pairs.length} pairs without keywords that guess the title`
  return [
    { name: `right document first, ${how}`, value: share(outcomes, one => isRight(one) && isTaken(one)) },
    { name: `precision at 1 of those taken, ${how}`, value: share(taken, isRight) },
    { name: `right document among three, ${how}`, value: share(outcomes, isAmong) },
  ]
}

function isGuess(
  keyword: string,
  { documentId = '', instruction }: Case,
  titles: ReadonlyMap<string, string>,
): boolean {
  const [word, title] = [keyword.toLowerCase(), titles.get(documentId) ?? '']
  return title.includes(word) && !instruction.toLowerCase().includes(word)
}

function findTitles(): { id: string; title: string }[] {
  return readDocuments(3_000).map(({ text, title }) => ({ id: contentId(text), title }))
}
