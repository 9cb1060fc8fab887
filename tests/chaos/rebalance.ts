/**
 * Workers join and leave all the time; owners are killed in the midst of a transaction, or stopped until the others have
 * taken over; a replay runs beside: nothing lost, nothing twice, nothing rewound, no partition idle for long.
 *
 * `--part=churn|slow|fences` runs one of the parts alone; the short form leaves the slow one out.
 */
import { seeded } from '../support/documents.ts'
import {
  type FaultRun,
  historyFigures,
  outcomeFigures,
  rewoundFigures,
  sizeOf,
  withFaultRun,
  workClean,
} from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { HoldingProxy, request } from '../support/holding-proxy.ts'
import { mustSitu } from '../support/situ.ts'
import { readTaskHistory } from '../support/task-history.ts'
import {
  type Ground,
  groundOf,
  ingestDocuments,
  until,
  untilDone,
  type Worker,
  withPipeline,
} from '../support/workers.ts'

const workers = 4
/** Behind the end of a session and the taking over by the others. */
const stoppedMs = 9_000
const fencesLatencyMs = 500

export async function run(options: ScriptOptions): Promise<void> {
  const all = options.short ? ['churn', 'fences'] : ['churn', 'slow', 'fences']
  const wanted = options.values.part?.split(',') ?? all
  await withFaultRun({ kafka: true }, async run => {
    const figures: Figure[] = []
    for (const part of wanted) {
      const own = part === 'fences' ? await fences(run, options) : await churn(run, options, part)
      figures.push(...own.map(figure => ({ ...figure, name: `${part}: ${figure.name}` })))
    }
    report('rebalance', figures, options)
  })
}

/** Stops or starts a worker again and again; slow calls take longer than most workers live. */
async function churn(run: FaultRun, options: ScriptOptions, part: string): Promise<Figure[]> {
  const isSlow = part === 'slow'
  const documents = sizeOf(options, 'documents', options.short ? 100 : isSlow ? 800 : 2_500)
  const seconds = sizeOf(options, 'seconds', options.short ? 6 : 120)
  const everyMs = sizeOf(options, 'every', 500)
  const latencyMs = isSlow
    ? sizeOf(options, 'slow-latency', 3_000)
    : sizeOf(options, 'latency', options.short ? 1_000 : 200)
  const random = seeded(sizeOf(options, 'seed', 1))
  const [clean, ground] = [run.cleanGround(part), run.ground(part)]
  for (const place of [clean, ground]) await ingestDocuments(place, run.folder, documents)
  const wanted = await workClean(clean)

  const all: Worker[] = []
  const start = () => {
    const worker = run.start(
      ground,
      ['--follow', '--concurrency', isSlow ? '16' : '4', '--drain-seconds', '10'],
      latencyMs,
    )
    all.push(worker)
    return worker
  }
  const gang: (Worker | null)[] = Array.from({ length: workers }, start)
  await until(() => all.some(worker => worker.calls.length > 0), 120_000, 'the first call')
  const begin = Date.now()
  let changes = 0
  for (const end = Date.now() + seconds * 1000; Date.now() < end; changes++) {
    const slot = Math.floor(random() * gang.length)
    const worker = gang[slot]
    worker?.child.kill('SIGTERM')
    gang[slot] = worker ? null : start()
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
  const changed = Date.now()
  for (const [slot, worker] of gang.entries()) if (!worker) gang[slot] = start()
  await untilDone(ground)
  await Promise.all(all.map(worker => worker.end('SIGTERM')))
  const calls = all.flatMap(worker => worker.calls).length
  const needed = (wanted.situation?.length ?? 0) + (wanted.instruction?.length ?? 0)
  const history = await readTaskHistory(ground)
  return [
    { name: 'documents', value: documents },
    { name: 'workers stopped or started', value: changes },
    { name: 'records finished while they were', value: history.finishedBy(changed), goal: { least: 1 } },
    { name: 'calls made again', value: calls - needed },
    { name: 'calls of tasks that moved', value: all.reduce((sum, worker) => sum + worker.callsLost, 0) },
    ...(await historyFigures(ground, begin)),
    ...(await outcomeFigures(ground, wanted)),
  ]
}

/** Owners that are killed or stopped where it hurts the most, and a replay beside the main line. */
async function fences(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const kills = sizeOf(options, 'kills', options.short ? 1 : 5)
  const stops = sizeOf(options, 'stops', options.short ? 1 : 3)
  const each = sizeOf(options, 'each', options.short ? 40 : 200)
  const documents = each * (kills + stops + 1)
  const [clean, ground] = [run.cleanGround('fences'), run.ground('fences')]
  await ingestDocuments(clean, run.folder, documents)
  const wanted = await workClean(clean)
  await ingestDocuments(ground, run.folder, each)

  let fed = each
  const feed = async () => {
    if (fed < documents) await ingestDocuments(ground, run.folder, fed + each, fed)
    fed += each
  }
  const start = (place: Ground) => run.start(place, ['--follow', '--concurrency', '2'], fencesLatencyMs)
  const steady = start(ground)
  const through = await Proxied.open(run, ground)
  let [killed, found] = [0, 0]
  for (let kill = 0; kill < kills; kill++) {
    if (await through.killAtEnd(start, feed)) killed++
  }
  await through.close()
  for (let stop = 0; stop < stops; stop++) found += await stopAndContinue(start(ground), feed)
  const lostBefore = steady.tasksLost
  const replayed = await replayBeside(ground, each)
  const lostToReplay = steady.tasksLost - lostBefore
  await untilDone(ground)
  await steady.end('SIGTERM')
  return [
    { name: 'documents', value: documents },
    { name: 'owners killed before the end of a transaction', value: killed, goal: { least: kills } },
    { name: 'owners stopped past their session', value: stops },
    { name: 'tasks that they found lost', value: found, goal: { least: stops } },
    { name: 'records of the replay', value: replayed, goal: { least: each } },
    { name: 'tasks of the main line lost to the replay', value: lostToReplay, goal: { most: 0 } },
    ...rewoundFigures(await readTaskHistory(ground)),
    ...(await outcomeFigures(ground, wanted)),
  ]
}

/** A worker that reaches the broker through a proxy. */
class Proxied {
  readonly #proxy: HoldingProxy
  readonly #ground: Ground

  private constructor(proxy: HoldingProxy, ground: Ground) {
    this.#proxy = proxy
    this.#ground = ground
  }

  static async open({ services }: FaultRun, { config }: Ground): Promise<Proxied> {
    const [listener] = services.proxied
    if (!listener) throw new Error('the broker has no listener for a proxy')
    const proxy = await HoldingProxy.start(listener)
    return new Proxied(proxy, groundOf({ ...config, brokers: `127.0.0.1:${listener.advertised}` }))
  }

  /** Kills a worker when all of a transaction is written but its end. @returns Whether its offsets were. */
  async killAtEnd(start: (ground: Ground) => Worker, feed: () => Promise<void>): Promise<boolean> {
    const worker = start(this.#ground)
    await feed()
    await until(() => worker.calls.length > 10, 60_000, 'calls of the worker behind the proxy')
    const { before } = await this.#proxy.hold(request.endTxn, request.txnOffsetCommit)
    await worker.end('SIGKILL')
    return before.includes(request.txnOffsetCommit)
  }

  close(): Promise<void> {
    return this.#proxy.close()
  }
}

/** @returns Tasks that it found to be somebody else's. */
async function stopAndContinue(worker: Worker, feed: () => Promise<void>): Promise<number> {
  await feed()
  await until(() => worker.callsInFlight > 0 && worker.calls.length > 10, 60_000, 'calls of the worker to be stopped')
  worker.child.kill('SIGSTOP')
  await new Promise(resolve => setTimeout(resolve, stoppedMs))
  worker.child.kill('SIGCONT')
  await until(() => worker.tasksLost > 0 || !worker.isAlive, 30_000, 'the end of its tasks')
  await worker.end('SIGTERM')
  return worker.tasksLost
}

/** Works the first documents again under a variant. @returns Records that it has written. */
async function replayBeside(ground: Ground, documents: number): Promise<number> {
  const words = ['--variant', 'beside', '--model', 'stand-in', '--limit', String(documents)]
  const { partitions: _made, ...settings } = ground.config
  await mustSitu(['replay', 'situate', ...words, ...groundOf(settings).flags])
  return withPipeline(ground, async ({ transport, partitions }) => {
    let count = 0
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of transport.read('situation.beside', partition, 0)) count += messages.length
    }
    return count
  })
}
