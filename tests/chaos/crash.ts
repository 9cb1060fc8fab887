/**
 * Kills a run again and again while model calls are in flight, and holds what is left in the log against a clean run.
 *
 * Calls are counted from the log lines of each process, which outlive it in the pipe.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../streams/config.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { openPipeline, type Pipeline } from '../../streams/pipeline.ts'
import { readDocuments, seeded } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'

const concurrency = 8
const outputOf: Record<string, string> = { situate: 'situation', instruct: 'instruction' }

interface Call {
  stage: string
  input: string
}

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 80 : 500))
  const kills = Number(options.values.kills ?? (options.short ? 4 : 20))
  const latencyMs = Number(options.values.latency ?? 200)
  const random = seeded(Number(options.values.seed ?? 1))
  const folder = temporaryFolder()
  try {
    const input = join(folder, 'documents.jsonl')
    writeFileSync(
      input,
      readDocuments(documents)
        .map(document => `${JSON.stringify(document)}\n`)
        .join(''),
    )
    const clean = join(folder, 'clean')
    const killed = join(folder, 'killed')
    for (const data of [clean, killed]) await mustSitu(['ingest', input, '--data', data])
    await mustSitu(['run', '--data', clean, '--model', 'stand-in'])
    const wanted = await idsOf(clean)
    // Behind it a single commit may hold all that is left, and nothing would be in flight.
    const last = (await worked(clean)) - 2 * concurrency

    const moments = Array.from({ length: kills }, () => last * (0.01 + 0.98 * random())).sort((a, b) => a - b)
    const calls: Call[] = []
    let uncommitted = 0
    let killsInFlight = 0
    for (const moment of moments) {
      const process = start(killed, latencyMs)
      const inFlight = await killAt(process, killed, moment)
      const made = callsOf(process)
      calls.push(...made)
      uncommitted += await countUncommitted(killed, made)
      if (inFlight > 0) killsInFlight++
    }
    const remaining = start(killed, latencyMs)
    const { code } = await remaining.done
    calls.push(...callsOf(remaining))
    const found = await idsOf(killed)
    const needed = wanted.situation.length + wanted.instruction.length
    const verified = await situ(['topics', '--verify', '--data', killed])
    const figures: Figure[] = [
      { name: 'documents', value: documents },
      { name: 'kills', value: kills },
      { name: 'kills with calls in flight', value: killsInFlight, goal: { least: Math.ceil(kills * 0.9) } },
      { name: 'calls made', value: calls.length },
      { name: 'calls made again', value: calls.length - needed, goal: { most: uncommitted } },
      { name: 'calls of records not committed at the kills', value: uncommitted },
      { name: 'exit code of the last run', value: code ?? -1, goal: { most: 0 } },
      { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
      { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
      { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
      { name: 'instructions without deduped or dropped', value: await countUnfinished(killed), goal: { most: 0 } },
    ]
    if ((verified.code ?? 1) !== 0) console.log(verified.stdout)
    report('crash', figures, options)
  } finally {
    removeFolder(folder)
  }
}

function start(data: string, latencyMs: number): Situ {
  const words = [
    'run',
    '--data',
    data,
    '--model',
    'stand-in',
    '--log-level',
    'debug',
    '--concurrency',
    String(concurrency),
  ]
  return new Situ(words, { env: { SITU_STAND_IN_LATENCY_MS: String(latencyMs) } })
}

async function open(data: string): Promise<Pipeline> {
  return openPipeline(readConfig({ data }, {}).config, 'read')
}

async function withPipeline<T>(data: string, look: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await open(data)
  try {
    return await look(pipeline)
  } finally {
    await pipeline.close()
  }
}

function worked(data: string): Promise<number> {
  return withPipeline(data, workedOf)
}

/** Inputs with an outcome, over the operators that call a model. */
async function workedOf(pipeline: Pipeline): Promise<number> {
  const { operators } = await readStatus(pipeline, await pipeline.transport.survey('task'))
  return Object.keys(outputOf).reduce(
    (sum, name) => sum + (operators[name]?.in ?? 0) - (operators[name]?.inFlight ?? 0),
    0,
  )
}

/** Kills the process once so much is committed and calls are in flight. @returns Calls in flight at the kill. */
async function killAt(process: Situ, data: string, moment: number): Promise<number> {
  const pipeline = await open(data)
  let ended = false
  void process.done.then(() => {
    ended = true
  })
  try {
    for (;;) {
      const now = await workedOf(pipeline)
      const inFlight = openCalls(process)
      if (ended || (now >= moment && inFlight > 0)) {
        process.child.kill('SIGKILL')
        await process.done
        return inFlight
      }
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  } finally {
    await pipeline.close()
  }
}

function lines(process: Situ): Record<string, string>[] {
  return process.stderr
    .split('\n')
    .flatMap(line => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line)] : []))
}

function callsOf(process: Situ): Call[] {
  return lines(process).flatMap(({ msg, stage = '', input = '' }) => (msg === 'model call' ? [{ stage, input }] : []))
}

function openCalls(process: Situ): number {
  const all = lines(process)
  return all.filter(({ msg }) => msg === 'model call').length - all.filter(({ msg }) => msg === 'model reply').length
}

function countUncommitted(data: string, calls: readonly Call[]): Promise<number> {
  return withPipeline(data, async ({ transport }) => {
    let count = 0
    for (const { stage, input } of calls) {
      let isCommitted = false
      for await (const _ of transport.children(outputOf[stage] ?? '', input)) isCommitted = true
      if (!isCommitted) count++
    }
    return count
  })
}

const compared = ['page', 'article', 'document', 'situation', 'instruction'] as const
type Ids = Record<string, string[]> & { situation: string[]; instruction: string[] }

function idsOf(data: string): Promise<Ids> {
  return withPipeline(data, async ({ transport }) => {
    const ids: Ids = { situation: [], instruction: [] }
    for (const topic of [...compared, 'deduped', 'dropped']) {
      const found: string[] = []
      for await (const { messages } of transport.read(topic, 0, 0)) found.push(...messages.map(({ key }) => key ?? ''))
      ids[topic] = found
    }
    return ids
  })
}

function countTwice(ids: Ids): number {
  return Object.values(ids).reduce((sum, list) => sum + list.length - new Set(list).size, 0)
}

function countDifferent(left: Ids, right: Ids): number {
  return compared.reduce((sum, topic) => {
    const [one, other] = [new Set(left[topic]), new Set(right[topic])]
    return sum + one.symmetricDifference(other).size
  }, 0)
}

/** Instructions that are neither kept nor dropped, and dropped ones whose twin is not kept. */
function countUnfinished(data: string): Promise<number> {
  return withPipeline(data, async ({ transport, serde }) => {
    const kept = new Set<string>()
    for await (const { messages } of transport.read('deduped', 0, 0))
      for (const { parent } of messages) kept.add(parent ?? '')
    const dropped = new Set<string>()
    let wrong = 0
    for await (const { messages } of transport.read('dropped', 0, 0)) {
      for (const { value } of messages) {
        const { operator, input, twin } = await serde.decode('dropped', value)
        if (operator !== 'dedupe-instruction') continue
        dropped.add(input ?? '')
        if (!kept.has(twin ?? '')) wrong++
      }
    }
    for await (const { messages } of transport.read('instruction', 0, 0)) {
      for (const { key } of messages) if (kept.has(key ?? '') === dropped.has(key ?? '')) wrong++
    }
    return wrong
  })
}
