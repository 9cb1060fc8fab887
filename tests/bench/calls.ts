/**
 * What a call costs beside the model: `situ run situate instruct` on documents that are there already, beside what one
 * writes without Situ, (a) with the `openai` package and (b) with bare fetch: the same documents, messages and replies.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compose, promptOptions } from '../../operators/composition.ts'
import { builtInSnapshot } from '../../operators/demonstrations.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { instruct } from '../../operators/instruct.ts'
import { Prompt } from '../../operators/prompt.ts'
import { situate } from '../../operators/situate.ts'
import { readDocuments, type TestDocument } from '../support/documents.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'
import { type Measured, measure } from './calls/client.ts'
import { Provider } from './calls/provider.ts'

const inFlight = 200
/** As in the measurements of other tools. */
const documentCharacters = 4_000
const cli = join(import.meta.dirname, '../../streams/cli.ts')

interface Load {
  latencyMs: number
  documents: number
  rounds: number
}

type Clients = Record<'situ' | 'openai' | 'fetch', (round: number) => string[]>

export async function run(options: ScriptOptions): Promise<void> {
  const folder = temporaryFolder()
  try {
    const figures: Figure[] = []
    for (const load of loadsOf(options)) {
      // Loads of as many documents would work the same data, the second one without a call.
      const own = join(folder, String(load.latencyMs))
      mkdirSync(own)
      figures.push(...(await measureLoad(own, load)))
    }
    report('calls', figures, options)
  } finally {
    removeFolder(folder)
  }
}

function loadsOf({ short, values }: ScriptOptions): Load[] {
  const rounds = Number(values.rounds ?? (short ? 1 : 5))
  const loads = [
    { latencyMs: 0, documents: short ? 100 : 1_000, rounds },
    { latencyMs: 50, documents: short ? 100 : 2_000, rounds: Math.min(rounds, 3) },
    { latencyMs: 1000, documents: short ? 200 : 3_000, rounds: Math.min(rounds, 3) },
  ]
  const wanted = values.latency?.split(',').map(Number)
  return loads
    .filter(({ latencyMs }) => !wanted || wanted.includes(latencyMs))
    .map(load => ({ ...load, documents: Number(values.documents ?? load.documents) }))
}

async function measureLoad(folder: string, { latencyMs, documents, rounds }: Load): Promise<Figure[]> {
  const clients = await prepare(folder, documents)
  await using provider = await Provider.start(folder, latencyMs)
  const measured: Record<keyof Clients, Measured[]> = { situ: [], openai: [], fetch: [] }
  for (let round = 0; round < rounds; round++) {
    for (const name of ['situ', 'openai', 'fetch'] as const) {
      const one = await measure(provider, clients[name](round), join(folder, 'usage.json'))
      if (one.calls !== 2 * documents) throw new Error(`${name}: ${one.calls} calls of ${documents} documents`)
      measured[name].push(one)
    }
  }
  return figuresOf(latencyMs, documents, measured)
}

/** Writes what the clients read. @returns Their words, each round in files of its own. */
async function prepare(folder: string, count: number): Promise<Clients> {
  const data = join(folder, `data-${count}`)
  const documents = await ingestDistinct(folder, data, count)
  const input = join(folder, `${count}.jsonl`)
  writeFileSync(input, linesOf(documents))
  const templates = join(folder, 'templates.json')
  writeFileSync(templates, JSON.stringify(templatesOf(documents)))
  const script = (name: string) => (round: number) => [
    join(import.meta.dirname, 'calls', `${name}.ts`),
    input,
    templates,
    join(folder, `${name}-${count}-${round}.jsonl`),
    String(inFlight),
  ]
  const situ = (round: number) => {
    const copy = join(folder, `data-${count}-${round}`)
    cpSync(data, copy, { recursive: true })
    const limits = ['--concurrency', String(inFlight / 2), '--limit', String(count)]
    return [cli, 'run', 'situate', 'instruct', '--yes', '--data', copy, ...limits]
  }
  return { situ, openai: script('node-openai'), fetch: script('node-fetch') }
}

/** Two that are the same once they are cut would be one call: what the dedupe passes are all different. */
async function ingestDistinct(folder: string, data: string, count: number): Promise<TestDocument[]> {
  const cut = readDocuments(Math.ceil(1.1 * count)).map(one => ({
    ...one,
    text: one.text.slice(0, documentCharacters).trim(),
  }))
  const input = join(folder, `${count}-cut.jsonl`)
  writeFileSync(input, linesOf(cut))
  await mustSitu(['ingest', input, '--as', 'article', '--data', data])
  await mustSitu(['run', 'dedupe-document', '--data', data])
  const fields = ['--fields', 'value.url,value.title,value.text']
  const { stdout } = await mustSitu(['tap', 'document', '--limit', String(count), ...fields, '--data', data])
  const documents = stdout
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { value: TestDocument }).value)
  if (documents.length < count) throw new Error(`${documents.length} different documents, ${count} are wanted`)
  return documents
}

function linesOf(documents: readonly TestDocument[]): string {
  return documents.map(document => `${JSON.stringify(document)}\n`).join('')
}

/** The messages as Situ sends them, with as many demonstrations as it shows beside a document of middle length. */
function templatesOf(documents: readonly TestDocument[]) {
  const [middle] = documents.toSorted((one, other) => one.text.length - other.text.length).slice(documents.length / 2)
  const document = middle?.text ?? ''
  const template = (name: 'situate' | 'instruct') => {
    const fields = { situate, instruct }[name].prompt?.fields ?? []
    const path = join(import.meta.dirname, `../../operators/prompts/${name}.md`)
    const prompt = new Prompt(name, readFileSync(path, 'utf8'), fields)
    const options = promptOptions.parse({})
    const values = Object.fromEntries(fields.map(field => [field, `{{${field}}}`]))
    const demonstrations = builtInSnapshot().draw(name, options.demonstrations)
    const material = { prompt, options, tokenizer: createTokenizer(), demonstrations }
    const { messages } = compose({ document, values }, material)
    return messages.map(({ role, content }) => ({ role, content: content.replace(document, () => '{{document}}') }))
  }
  return { situation: template('situate'), instruction: template('instruct') }
}

function figuresOf(latencyMs: number, documents: number, measured: Record<keyof Clients, Measured[]>): Figure[] {
  const of = (name: keyof Clients, value: (one: Measured) => number) => median(measured[name].map(value))
  const perThousand = ({ cpuSeconds, calls }: Measured) => (cpuSeconds / calls) * 1000
  const afterStart = ({ cpuSeconds, cpuSecondsToFirst, calls }: Measured) =>
    ((cpuSeconds - cpuSecondsToFirst) / calls) * 1000
  const ratio = (to: 'openai' | 'fetch', value: (one: Measured) => number) =>
    median(measured.situ.map((one, round) => value(one) / value(measured[to][round] ?? one)))
  const at = `at ${latencyMs} ms`
  const figures: Figure[] = [{ name: `documents ${at}`, value: documents }]
  for (const [name, label] of [
    ['situ', 'situ'],
    ['openai', '(a) openai'],
    ['fetch', '(b) fetch'],
  ] as const) {
    figures.push(
      { name: `${label} ${at}: calls/s of the whole process`, value: of(name, rate) },
      { name: `${label} ${at}: calls/s after start`, value: of(name, rateAfterStart) },
      { name: `${label} ${at}: CPU seconds per 1,000 calls`, value: of(name, perThousand) },
      { name: `${label} ${at}: CPU seconds per 1,000 calls after start`, value: of(name, afterStart) },
      { name: `${label} ${at}: first call`, value: of(name, one => one.secondsToFirst), unit: 's' },
      { name: `${label} ${at}: peak memory`, value: of(name, one => one.peakMegabytes), unit: 'MB' },
      { name: `${label} ${at}: most calls in flight`, value: of(name, one => one.maxOpen) },
      {
        name: `${label} ${at}: tokens sent a call`,
        value: of(name, one => one.promptTokensPerCall),
        unit: 'of 4 characters',
      },
    )
  }
  figures.push(
    { name: `CPU ${at}, situ / (a)`, value: ratio('openai', perThousand) },
    { name: `CPU after start ${at}, situ / (a)`, value: ratio('openai', afterStart), goal: { most: 2 } },
    { name: `CPU ${at}, situ / (b)`, value: ratio('fetch', perThousand) },
    { name: `CPU after start ${at}, situ / (b)`, value: ratio('fetch', afterStart) },
    { name: `peak memory ${at}, situ`, value: of('situ', one => one.peakMegabytes), unit: 'MB', goal: { most: 300 } },
    ...(latencyMs >= 1000 ? shareOfIdeal(latencyMs, documents, of) : []),
  )
  return figures
}

type Of = (name: keyof Clients, value: (one: Measured) => number) => number

/**
 * Against calls that end in a second where the pool is always full. What is judged is the steady state, the same for
 * all: replies a second between the first and the last tenth of them. The rates from the first call on tell what ramp
 * and end cost a run of this length: the first call flies alone until it is answered, and two stages of half the pool
 * fill and empty one after the other.
 */
function shareOfIdeal(latencyMs: number, documents: number, of: Of): Figure[] {
  const ideal = inFlight / (latencyMs / 1000)
  const staged = (2 * documents) / ((2 * documents) / ideal + latencyMs / 1000)
  const at = `at ${latencyMs} ms`
  return [
    {
      name: `share of ${ideal} calls/s ${at}, first and last tenth left out`,
      value: of('situ', steadyRate) / ideal,
      goal: { least: 0.98 },
    },
    {
      name: `(a) share of ${ideal} calls/s ${at}, first and last tenth left out`,
      value: of('openai', steadyRate) / ideal,
    },
    {
      name: `(b) share of ${ideal} calls/s ${at}, first and last tenth left out`,
      value: of('fetch', steadyRate) / ideal,
    },
    { name: `share of ${ideal} calls/s ${at}, from the first call`, value: of('situ', rateAfterStart) / ideal },
    { name: `share of what two stages can do ${at}, from the first call`, value: of('situ', rateAfterStart) / staged },
    { name: `share of ${ideal} calls/s ${at}, start of the process included`, value: of('situ', rate) / ideal },
    { name: `(a) share of ${ideal} calls/s ${at}, from the first call`, value: of('openai', rateAfterStart) / ideal },
    { name: `(b) share of ${ideal} calls/s ${at}, from the first call`, value: of('fetch', rateAfterStart) / ideal },
  ]
}

const rate = ({ calls, seconds }: Measured) => calls / seconds
const steadyRate = (one: Measured) => one.steadyRate
const rateAfterStart = ({ calls, secondsOfCalls }: Measured) => calls / secondsOfCalls
