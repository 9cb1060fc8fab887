import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Provenance } from '../../schemas/records.ts'
import { nounOfTopic, ownProvenance } from '../../streams/chain/topology.ts'
import { readVariants } from '../../streams/chain/variants.ts'
import type { Status } from '../../streams/inspect/status.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { sharedData } from './documents.ts'
import { FakeModelProcess, type LoggedCall } from './fake-model.ts'
import { mustSitu } from './situ.ts'
import { folderGround, type Ground, ingestDocuments, withPipeline } from './workers.ts'

/** Instructions and benchmarks that the branch is fed with. */
const seedTasks = join(sharedData, 'instructions/self-instruct.seed-tasks.jsonl')
const benchmarks = join(sharedData, 'benchmarks')

const makesDocuments = ['extract', 'dedupe-document']
const byMeaning = ['embed-real', 'dedupe-meaning']
const branch = ['dedupe-real', 'decontaminate-real', 'score-real', 'conceive', 'retrieve', 'attribute']

/**
 * The stand-in takes the longest words of an instruction for its keywords, which are seldom the subject of a document:
 * with the default most instructions would find none.
 */
const minimumRelevance = 0.1

export interface BranchOptions {
  documents: number
  instructions: number
  /** Null for the default options, with `score-real` and the branch by name; a recipe looks for equals by meaning too. */
  recipe: string | null
}

/** A model step: what was asked, by the log of the provider and by the records that came of it. */
export interface BranchStep {
  operator: string
  /** Inputs that a model was asked about. */
  items: number
  calls: number
  /** Inputs whose question came to the provider once, neither more nor less. */
  once: number
  /** Tokens of the longest prompt, as the provider counted it. */
  longestPrompt: number
}

export interface BranchRun {
  status: Status
  steps: BranchStep[]
  /** Calls that belong to no record of a step. */
  strayCalls: number
  snapshot: { demonstrations: number; builtIn: number }
  shown: Record<string, { records: number; median: number; histogram: Record<string, number> }>
}

/**
 * Real instructions and documents at once through the branch of demonstrations, then the documents through the main
 * line with the demonstrations that were made; with a fake model in a process of its own that counts every call.
 */
export async function runBranch(folder: string, options: BranchOptions): Promise<BranchRun> {
  const fake = await FakeModelProcess.start(folder, { tokenizer: 'o200k' })
  try {
    const ground = folderGround(join(folder, 'data'))
    const flags = [...writeConfiguration(folder, fake.url, options), ...ground.flags]
    await ingestDocuments(ground, folder, options.documents)
    await ingestInstructions(ground, folder, options.instructions)
    const firstRun = [...makesDocuments, ...branch, ...(options.recipe === null ? [] : byMeaning)]
    await mustSitu(['run', ...firstRun, ...flags])
    const { stdout } = await mustSitu(['demonstrations', 'snapshot', '--json', ...ground.flags])
    await mustSitu(['run', ...flags])
    const status: Status = JSON.parse((await mustSitu(['topics', '--verify', '--json', ...ground.flags])).stdout)
    const shown = JSON.parse((await mustSitu(['demonstrations', 'shown', '--json', ...ground.flags])).stdout)
    return { status, ...(await compare(ground, fake.calls)), snapshot: JSON.parse(stdout), shown }
  } finally {
    await fake.stop()
  }
}

function writeConfiguration(folder: string, baseUrl: string, { recipe }: BranchOptions): string[] {
  const file = join(folder, 'situ.config.yaml')
  const models = { fake: { baseUrl, model: 'fake-model' } }
  writeFileSync(file, JSON.stringify({ models, operators: { retrieve: { minimumRelevance } } }))
  const named = readdirSync(benchmarks).filter(name => name.endsWith('.jsonl'))
  const files = named.map(name => join(benchmarks, name)).join(',')
  const chain = recipe === null ? [] : ['--recipe', recipe]
  return ['--config', file, '--model', 'fake', '--yes', '--benchmarks', files, ...chain]
}

async function ingestInstructions({ flags }: Ground, folder: string, count: number): Promise<void> {
  const lines = readFileSync(seedTasks, 'utf8').trimEnd().split('\n').slice(0, count)
  const input = join(folder, 'instructions.jsonl')
  writeFileSync(input, `${lines.join('\n')}\n`)
  await mustSitu(['ingest', input, '--as', 'real-instruction', ...flags])
}

/** What the records tell of their calls, beside what the provider has logged. */
async function compare(ground: Ground, calls: readonly LoggedCall[]): Promise<Pick<BranchRun, 'steps' | 'strayCalls'>> {
  const byMessages = Map.groupBy(calls, ({ messages }) => messages)
  const provenances = Map.groupBy(await withPipeline(ground, readProvenances), ({ operator }) => operator)
  const steps = [...provenances].map(([operator, own]) => {
    const asked = own.map(({ messages }) => byMessages.get(messages ?? '') ?? [])
    const theirs = asked.flat()
    return {
      operator,
      items: own.length,
      calls: theirs.length,
      once: own.filter(({ attempts }, at) => attempts.length === 1 && asked[at]?.length === 1).length,
      longestPrompt: Math.max(0, ...theirs.map(({ promptTokens }) => promptTokens)),
    }
  })
  return { steps, strayCalls: calls.length - steps.reduce((sum, step) => sum + step.calls, 0) }
}

/** How each outcome of a model step was made; there are no dead letters where nothing fails. */
async function readProvenances(pipeline: Pipeline): Promise<Provenance[]> {
  const { main } = await readVariants(pipeline)
  const made: (Provenance | null)[] = []
  for (const { output, operator } of main.stages.filter(stage => stage.operator.prompt)) {
    const own = await readOwn(pipeline, output, record => ownProvenance(operator, record))
    made.push(...own.filter(provenance => provenance?.operator === operator.name))
  }
  made.push(...(await readOwn(pipeline, 'dropped', record => ownProvenance(undefined, record))))
  return made.filter(provenance => provenance !== null)
}

async function readOwn<T>({ transport, serde }: Pipeline, topic: string, pick: (record: object) => T): Promise<T[]> {
  const picked: T[] = []
  for await (const { messages } of transport.read(topic, 0, 0)) {
    for (const { value } of messages) {
      const record = await serde.decodeOwn(nounOfTopic(topic), value)
      if (record) picked.push(pick(record))
    }
  }
  return picked
}
