/**
 * Brokers go down and come back while records flow, cleanly and by kill -9 in turn, and at last all three at once for a
 * while: what goes in comes out, once, and no worker has to be started again. Documents are ingested all the while, by
 * commands that meet the same faults.
 */
import { type FaultRun, outcomeFigures, rewoundFigures, sizeOf, withFaultRun, workClean } from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { readTaskHistory } from '../support/task-history.ts'
import { type Ground, idsOf, ingestDocuments, untilDone, untilProgress, type Worker } from '../support/workers.ts'

const brokers = [1, 2, 3]
const concurrency = 4
/** Longest that a task with records that wait may be without a commit. */
const mostWaitSeconds = 60

export async function run(options: ScriptOptions): Promise<void> {
  await withFaultRun({ kafka: true, brokers: 3 }, async run => report('bounce', await bounceAll(run, options), options))
}

async function bounceAll(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const documents = sizeOf(options, 'documents', options.short ? 100 : 5_010)
  const portion = sizeOf(options, 'portion', options.short ? 50 : 501)
  const bounces = sizeOf(options, 'bounces', options.short ? 2 : 6)
  const downSeconds = sizeOf(options, 'down', options.short ? 5 : 120)
  const latencyMs = sizeOf(options, 'latency', options.short ? 1_000 : 200)
  const three = run.ground('bounce')
  const ground = { flags: [...three.flags, '--replication', '3'], config: { ...three.config, replication: '3' } }
  const feed = new Feed(run, ground, documents, portion)
  await feed.next()

  const start = () => run.start(ground, ['--follow', '--concurrency', String(concurrency)], latencyMs)
  const workers = [start(), start()]
  const fed = feed.untilStopped()
  // Evenly over the work, so that each meets some.
  const last = 2 * documents * (options.short ? 0.5 : 0.85)
  const turn = (number: number) => untilCalls(ground, (last * (number + 0.5)) / (bounces + 0.5))
  await turn(0)
  const firstDownAt = Date.now()
  for (let bounce = 0; bounce < bounces; bounce++) {
    const broker = 1 + (bounce % brokers.length)
    await run.services.killBroker(broker, bounce % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
    await run.services.restartBroker(broker)
    await turn(bounce + 1)
  }
  // Right behind a portion, so that there is work left; and an ingest that begins while nobody answers ends with an error.
  const [allDownAt, upAt] = await feed.behindNext(() => takeAllDown(run, downSeconds * 1000))
  feed.stop()
  await fed
  await untilDone(ground, 900_000)
  const alive = workers.filter(({ isAlive }) => isAlive).length
  for (const worker of workers) await worker.end('SIGTERM')

  const clean = run.cleanGround()
  await ingestDocuments(clean, run.folder, feed.fed)
  const wanted = await workClean(clean)
  const history = await readTaskHistory(ground)
  const { kept: _kept, repeats: _repeats, ...ids } = await idsOf(ground)
  const records = Object.values(ids).reduce((total, list) => total + list.length, 0)
  const wait = (from: number, to?: number) => {
    const { seconds } = history.longestIdle({ from, ...(to !== undefined && { to }) })
    return { value: seconds, unit: 's', goal: { most: mostWaitSeconds } }
  }
  return [
    { name: 'documents', value: feed.fed, goal: { least: documents } },
    { name: 'records from document on', value: records, ...(!options.short && { goal: { least: 20_000 } }) },
    { name: 'bounces, cleanly and by kill -9 in turn', value: bounces },
    { name: 'longest wait of a task while single brokers were bounced', ...wait(firstDownAt, allDownAt) },
    { name: 'all brokers down', value: (upAt - allDownAt) / 1000, unit: 's', goal: { least: downSeconds } },
    { name: 'records that flowed until then', value: history.finishedBy(allDownAt), goal: { least: documents } },
    { name: 'records that flowed after it', value: history.finishedAfter(upAt), goal: { least: 1 } },
    { name: 'longest wait of a task after all were down', ...wait(upAt) },
    { name: 'workers that said that they wait', value: workers.filter(saysSo).length, goal: { least: workers.length } },
    { name: 'workers alive at the end', value: alive, goal: { least: workers.length } },
    ...rewoundFigures(history),
    ...(await outcomeFigures(ground, wanted)),
  ]
}

/** Ingests a portion whenever the workers have little left, so that no fault meets a chain at rest. */
class Feed {
  readonly #run: FaultRun
  readonly #ground: Ground
  readonly #least: number
  readonly #portion: number
  #isStopped = false
  #turn: Promise<unknown> = Promise.resolve()
  fed = 0

  /** @param least - Documents that are ingested even where it is stopped before. */
  constructor(run: FaultRun, ground: Ground, least: number, portion: number) {
    this.#run = run
    this.#ground = ground
    this.#least = least
    this.#portion = portion
  }

  next(): Promise<void> {
    return this.behindNext(async () => {})
  }

  /** Ingests a portion, and works before any other one is ingested. */
  behindNext<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(async () => {
      await ingestDocuments(this.#ground, this.#run.folder, this.fed + this.#portion, this.fed)
      this.fed += this.#portion
      return work()
    })
    this.#turn = done.catch(() => {})
    return done
  }

  async untilStopped(): Promise<void> {
    const isWanted = () => !this.#isStopped || this.fed < this.#least
    while (isWanted()) {
      await untilProgress(this.#ground, ({ waiting }) => waiting < this.#portion || !isWanted(), 'the next portion')
      if (isWanted()) await this.next()
    }
  }

  stop(): void {
    this.#isStopped = true
  }
}

function untilCalls(ground: Ground, wanted: number): Promise<void> {
  return untilProgress(ground, ({ calls }) => calls >= wanted, 'the next turn')
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
