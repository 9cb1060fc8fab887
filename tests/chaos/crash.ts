/**
 * Kills workers again and again while model calls are in flight, and holds what is left against a clean run.
 *
 * `--on=embedded` (one worker on a folder, the default) or `--on=kafka` (three workers). Calls are counted from the log
 * lines of each process, which outlive it in the pipe.
 */
import { join } from 'node:path'
import { startServices } from '../services/index.ts'
import { seeded } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import {
  type Call,
  countDifferent,
  countTwice,
  folderGround,
  type Ground,
  idsOf,
  ingestDocuments,
  kafkaGround,
  killAt,
  progressOf,
  until,
  Worker,
  withPipeline,
} from '../support/workers.ts'

const concurrency = 8
const outputOf: Record<string, string> = { situate: 'situation', instruct: 'instruction' }

export async function run(options: ScriptOptions): Promise<void> {
  const folder = temporaryFolder()
  const isKafka = options.values.on === 'kafka'
  const services = isKafka ? await startServices({ brokers: 1, registry: true, own: true }) : null
  try {
    const killed = services ? kafkaGround(services, `crash${process.pid}`) : folderGround(join(folder, 'killed'))
    await crash(options, folder, killed, isKafka ? 3 : 1)
  } finally {
    await services?.stop()
    removeFolder(folder)
  }
}

async function crash(options: ScriptOptions, folder: string, ground: Ground, workers: number): Promise<void> {
  const many = workers > 1 ? 2_000 : 500
  const documents = Number(options.values.documents ?? (options.short ? 80 : many))
  const kills = Number(options.values.kills ?? (options.short ? 4 : 20))
  const latencyMs = Number(options.values.latency ?? 200)
  const random = seeded(Number(options.values.seed ?? 1))
  const clean = folderGround(join(folder, 'clean'))
  for (const place of [clean, ground]) await ingestDocuments(place, folder, documents)
  await mustSitu(['run', '--model', 'stand-in', ...clean.flags])
  const wanted = await idsOf(clean)
  // Behind it a single commit may hold all that is left, and nothing would be in flight.
  const last = 2 * documents - 2 * workers * concurrency

  const moments = Array.from({ length: kills }, () => last * (0.01 + 0.98 * random())).sort((a, b) => a - b)
  const gang = Array.from(
    { length: workers },
    () => new Worker(ground, ['--follow', '--concurrency', String(concurrency)], latencyMs),
  )
  const ended: Worker[] = []
  let uncommitted = 0
  let killsInFlight = 0
  for (const moment of moments) {
    const { worker, inFlight } = await killAt(gang, ground, moment, random)
    if (inFlight > 0) killsInFlight++
    uncommitted += await countUncommitted(ground, worker.calls)
    ended.push(worker)
    gang[gang.indexOf(worker)] = new Worker(ground, ['--follow', '--concurrency', String(concurrency)], latencyMs)
  }
  const idle = () => withPipeline(ground, async pipeline => (await progressOf(pipeline)).waiting === 0)
  await until(idle, 600_000, 'the end of the work')
  for (const worker of gang) await worker.end('SIGTERM')
  const all = [...ended, ...gang]
  const calls = all.flatMap(worker => worker.calls).length
  const moved = all.reduce((sum, worker) => sum + worker.callsLost, 0)
  const found = await idsOf(ground)
  const verified = await situ(['topics', '--verify', ...ground.flags])
  if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
  const needed = (wanted.situation?.length ?? 0) + (wanted.instruction?.length ?? 0)
  const figures: Figure[] = [
    { name: 'documents', value: documents },
    { name: 'workers', value: workers },
    { name: 'kills', value: kills },
    { name: 'kills with calls in flight', value: killsInFlight, goal: { least: Math.ceil(kills * 0.9) } },
    { name: 'calls made', value: calls },
    { name: 'calls made again', value: calls - needed, goal: { most: uncommitted + moved } },
    { name: 'calls of records not committed at the kills', value: uncommitted },
    { name: 'calls of tasks that moved', value: moved },
    { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
    { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
    { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
    { name: 'instructions without deduped or dropped', value: await countUnfinished(ground), goal: { most: 0 } },
  ]
  report('crash', figures, options)
}

/** Calls whose record has no output yet. */
function countUncommitted(ground: Ground, calls: readonly Call[]): Promise<number> {
  return withPipeline(ground, async ({ transport, partitions }) => {
    const committed = new Set<string>()
    for (const [stage, topic] of Object.entries(outputOf)) {
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { messages } of transport.read(topic, partition, 0)) {
          for (const { parent } of messages) committed.add(`${stage} ${parent}`)
        }
      }
    }
    return calls.filter(({ stage, input }) => !committed.has(`${stage} ${input}`)).length
  })
}

/** Instructions that are neither kept nor dropped, and dropped ones whose twin is not kept. */
function countUnfinished(ground: Ground): Promise<number> {
  return withPipeline(ground, async ({ transport, serde, partitions }) => {
    const kept = new Set<string>()
    const twins: string[] = []
    const dropped = new Set<string>()
    const instructions: string[] = []
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of transport.read('deduped', partition, 0)) {
        for (const { parent } of messages) kept.add(parent ?? '')
      }
      for await (const { messages } of transport.read('dropped', partition, 0)) {
        for (const { value } of messages) {
          const { operator, input, twin } = await serde.decode('dropped', value)
          if (operator !== 'dedupe-instruction') continue
          dropped.add(input ?? '')
          twins.push(twin ?? '')
        }
      }
      for await (const { messages } of transport.read('instruction', partition, 0)) {
        instructions.push(...messages.map(({ key }) => key ?? ''))
      }
    }
    const wrong = instructions.filter(id => kept.has(id) === dropped.has(id)).length
    return wrong + twins.filter(twin => !kept.has(twin)).length
  })
}
