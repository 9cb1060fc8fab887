/**
 * Kills workers again and again while model calls are in flight, and holds what is left against a clean run.
 *
 * `--on=embedded` (one worker on a folder, the default) or `--on=kafka` (three workers; with `--machines=apart` none has
 * a folder that others have, so that their sessions alone tell the group of their death). Calls are counted from the log
 * lines of each process, which outlive it in the pipe.
 */
import { join } from 'node:path'
import { seeded } from '../support/documents.ts'
import {
  type FaultRun,
  historyFigures,
  isOnKafka,
  outcomeFigures,
  sizeOf,
  withFaultRun,
  workClean,
} from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import {
  type Call,
  type Ground,
  groundOf,
  ingestDocuments,
  killAt,
  until,
  untilDone,
  type Worker,
  watchProgress,
  withPipeline,
} from '../support/workers.ts'

const outputOf: Record<string, string> = { situate: 'situation', instruct: 'instruction' }

export async function run(options: ScriptOptions): Promise<void> {
  await withFaultRun({ kafka: isOnKafka(options) }, async run => report('crash', await crash(run, options), options))
}

async function crash(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const workers = run.isKafka ? 3 : 1
  const isApart = run.isKafka && options.values.machines === 'apart'
  const documents = sizeOf(options, 'documents', options.short ? 80 : run.isKafka ? 2_000 : 500)
  const kills = sizeOf(options, 'kills', options.short ? 3 : 20)
  const latencyMs = sizeOf(options, 'latency', 200)
  const concurrency = sizeOf(options, 'concurrency', options.short ? 2 : 8)
  const random = seeded(sizeOf(options, 'seed', 1))
  const [clean, ground] = [run.cleanGround(), run.ground('crash')]
  for (const place of [clean, ground]) await ingestDocuments(place, run.folder, documents)
  const wanted = await workClean(clean)
  // Behind it a few commits may hold all that is left, and nothing would be in flight.
  const last = 0.85 * 2 * documents
  const moments = Array.from({ length: kills }, () => last * (0.01 + 0.98 * random())).sort((a, b) => a - b)

  let machines = 0
  const placeOf = () =>
    isApart ? groundOf({ ...ground.config, data: join(run.folder, `machine-${machines++}`) }) : ground
  const start = () => run.start(placeOf(), ['--follow', '--concurrency', String(concurrency)], latencyMs)
  const gang = Array.from({ length: workers }, start)
  await until(() => gang.some(worker => worker.calls.length > 0), 120_000, 'the first call')
  const begin = Date.now()
  const ended: Worker[] = []
  const killedAt: number[] = []
  let [uncommitted, callsInFlight, killsInFlight] = [0, 0, 0]
  await watchProgress(ground, async progress => {
    for (const moment of moments) {
      const { worker, inFlight } = await killAt(gang, progress, moment, random)
      killedAt.push(Date.now())
      if (inFlight > 0) killsInFlight++
      callsInFlight += inFlight
      uncommitted += await countUncommitted(ground, worker.calls)
      ended.push(worker)
      gang[gang.indexOf(worker)] = start()
    }
  })
  await untilDone(ground)
  for (const worker of gang) await worker.end('SIGTERM')
  const all = [...ended, ...gang]
  const calls = all.flatMap(worker => worker.calls).length
  const moved = all.reduce((sum, worker) => sum + worker.callsLost, 0)
  const needed = (wanted.situation?.length ?? 0) + (wanted.instruction?.length ?? 0)
  return [
    { name: 'documents', value: documents },
    { name: 'workers', value: workers },
    { name: 'kills', value: kills },
    { name: 'kills with calls in flight', value: killsInFlight, goal: { least: Math.ceil(kills * 0.9) } },
    { name: 'calls in flight at the kills', value: callsInFlight },
    { name: 'calls made', value: calls },
    { name: 'calls made again', value: calls - needed, goal: { most: uncommitted + moved } },
    { name: 'calls of records not committed at the kills', value: uncommitted },
    { name: 'calls of tasks that moved', value: moved },
    ...(run.isKafka ? await historyFigures(ground, begin, killedAt, all) : []),
    ...(await outcomeFigures(ground, wanted)),
    { name: 'instructions without deduped or dropped', value: await countUnfinished(ground), goal: { most: 0 } },
  ]
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
