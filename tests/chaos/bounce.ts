/**
 * Brokers go down and come back while records flow, each cleanly and by kill -9, and at last all three at once for a
 * while: what goes in comes out, once, and no worker has to be started again.
 */
import { type FaultRun, outcomeFigures, rewoundFigures, sizeOf, withFaultRun, workClean } from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { readTaskHistory } from '../support/task-history.ts'
import { type Ground, idsOf, ingestDocuments, untilDone, untilProgress, type Worker } from '../support/workers.ts'

const brokers = [1, 2, 3]
const concurrency = 2

export async function run(options: ScriptOptions): Promise<void> {
  await withFaultRun({ kafka: true, brokers: 3 }, async run => report('bounce', await bounceAll(run, options), options))
}

async function bounceAll(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const documents = sizeOf(options, 'documents', options.short ? 200 : 4_000)
  const bounces = sizeOf(options, 'bounces', options.short ? 2 : 6)
  const downSeconds = sizeOf(options, 'down', options.short ? 5 : 120)
  const latencyMs = sizeOf(options, 'latency', 100)
  const clean = run.cleanGround()
  const three = run.ground('bounce')
  const ground = { flags: [...three.flags, '--replication', '3'], config: { ...three.config, replication: '3' } }
  for (const place of [clean, ground]) await ingestDocuments(place, run.folder, documents)
  const wanted = await workClean(clean)

  const start = () => run.start(ground, ['--follow', '--concurrency', String(concurrency)], latencyMs)
  const workers = [start(), start()]
  // Evenly over the work, so that records flow at each.
  const turn = (number: number) => untilCalls(ground, (2 * documents * (number + 0.5)) / (bounces + 1.5))
  const downAt: number[] = []
  for (let bounce = 0; bounce < bounces; bounce++) {
    await turn(bounce)
    downAt.push(Date.now())
    const broker = 1 + (bounce % brokers.length)
    await run.services.killBroker(broker, bounce < brokers.length ? 'SIGTERM' : 'SIGKILL')
    await run.services.restartBroker(broker)
  }
  await turn(bounces)
  const [allDownAt, upAt] = await takeAllDown(run, downSeconds * 1000)
  await untilDone(ground, 900_000)
  const alive = workers.filter(({ isAlive }) => isAlive).length
  for (const worker of workers) await worker.end('SIGTERM')

  const history = await readTaskHistory(ground)
  const ids = Object.values(await idsOf(ground)).reduce((total, list) => total + list.length, 0)
  const waits = downAt.map(moment => history.waitAfter(moment))
  return [
    { name: 'documents', value: documents },
    { name: 'records from document on', value: ids },
    { name: 'bounces, first cleanly and then by kill -9', value: bounces },
    { name: 'longest wait for a commit after a bounce', value: Math.max(...waits), unit: 's', goal: { most: 60 } },
    { name: 'all brokers down', value: (upAt - allDownAt) / 1000, unit: 's', goal: { least: downSeconds } },
    { name: 'wait for a commit after all were down', value: history.waitAfter(upAt), unit: 's', goal: { most: 60 } },
    { name: 'workers that said that they wait', value: workers.filter(saysSo).length, goal: { least: workers.length } },
    { name: 'workers alive at the end', value: alive, goal: { least: workers.length } },
    ...rewoundFigures(history),
    ...(await outcomeFigures(ground, wanted)),
  ]
}

function untilCalls(ground: Ground, wanted: number): Promise<void> {
  return untilProgress(ground, ({ calls, waiting }) => calls >= wanted || waiting === 0, 'the next turn')
}

/** @returns When the last one was down, and when all answered again. */
async function takeAllDown({ services }: FaultRun, forMs: number): Promise<[down: number, up: number]> {
  await Promise.all(brokers.map(broker => services.killBroker(broker, 'SIGKILL')))
  const down = Date.now()
  await new Promise(resolve => setTimeout(resolve, forMs))
  await Promise.all(brokers.map(broker => services.restartBroker(broker)))
  return [down, Date.now()]
}

function saysSo({ log }: Worker): boolean {
  return log.some(({ msg = '' }) => /no broker has answered for \d+ s; waiting/.test(msg))
}
