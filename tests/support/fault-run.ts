import { join } from 'node:path'
import { type Services, startServices } from '../services/index.ts'
import type { Figure, ScriptOptions } from './figures.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from './situ.ts'
import { type Idle, readTaskHistory, type TaskHistory } from './task-history.ts'
import {
  countDifferent,
  countTwice,
  folderGround,
  type Ground,
  groundOf,
  type Ids,
  idsOf,
  kafkaGround,
  Worker,
} from './workers.ts'

/** Longest that a partition may have records that wait and no commit. */
const mostIdleSeconds = 15

/** What a fault run works with; all of it is gone when the run ends. */
export class FaultRun {
  readonly folder = temporaryFolder()
  readonly #services: Services | null
  readonly #workers: Worker[] = []

  constructor(services: Services | null) {
    this.#services = services
  }

  /** The brokers of this run. */
  get services(): Services {
    if (!this.#services) throw new Error('this run has no brokers')
    return this.#services
  }

  get isKafka(): boolean {
    return this.#services !== null
  }

  /** Where work with faults is done: on the brokers, or in a folder. */
  ground(name: string, partitions?: number): Ground {
    if (!this.#services) return folderGround(join(this.folder, name))
    const { config } = kafkaGround(this.#services, `${name}${process.pid}-${++grounds}`, partitions)
    // Paid replies that another ground has kept would hide calls.
    return groundOf({ ...config, data: join(this.folder, name) })
  }

  /** Where the same work is done without faults. */
  cleanGround(name = 'clean'): Ground {
    return folderGround(join(this.folder, `${name}-without-faults`))
  }

  /** A worker that is killed with the run, where it still lives. */
  start(ground: Ground, words: readonly string[], latencyMs: number): Worker {
    const worker = new Worker(ground, words, latencyMs)
    this.#workers.push(worker)
    return worker
  }

  async close(): Promise<void> {
    for (const { child } of this.#workers) child.kill('SIGKILL')
    removeFolder(this.folder)
  }
}

/** Names of grounds on the same brokers must differ. */
let grounds = 0

/** By the number of brokers: several scripts of one process share them, for each of them heals what it has broken. */
const started = new Map<number, Promise<Services>>()

/** Opens what a fault run needs, with brokers of our own where it runs on Kafka, and closes it after the work. */
export async function withFaultRun(
  { kafka, brokers = 1 }: { kafka: boolean; brokers?: 1 | 3 },
  work: (run: FaultRun) => Promise<void>,
): Promise<void> {
  const run = new FaultRun(kafka ? await servicesOf(brokers) : null)
  try {
    await work(run)
  } finally {
    await run.close()
  }
}

function servicesOf(brokers: 1 | 3): Promise<Services> {
  const there = started.get(brokers)
  if (there) return there
  const services = startServices({ brokers, registry: true, own: true, proxied: brokers === 1 })
  started.set(brokers, services)
  return services
}

/** Ends the brokers of this process. */
export async function stopServices(): Promise<void> {
  for (const services of started.values()) await (await services).stop()
  started.clear()
}

export function isOnKafka({ values }: ScriptOptions): boolean {
  return values.on === 'kafka'
}

/** A number from `--name=value`. */
export function sizeOf({ values }: ScriptOptions, name: string, fallback: number): number {
  return Number(values[name] ?? fallback)
}

/** Works what is there to its end, without faults; the ids by topic. */
export async function workClean(clean: Ground): Promise<Ids> {
  await mustSitu(['run', '--model', 'stand-in', ...clean.flags])
  return idsOf(clean)
}

/**
 * What must hold after every fault run.
 *
 * @param wanted - Ids of a run without faults.
 * @param own - Of the ids that are found, those that count.
 */
export async function outcomeFigures(ground: Ground, wanted: Ids, own = (ids: Ids): Ids => ids): Promise<Figure[]> {
  const found = own(await idsOf(ground))
  const verified = await situ(['topics', '--verify', ...ground.flags])
  if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
  return [
    { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
    { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
    { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
  ]
}

/**
 * What the task records tell afterwards; on Kafka only, where all of them are kept.
 *
 * @param from - ms, start of the work.
 * @param kills - ms. The time between two of them is told apart from that over owners of a partition killed in a row.
 */
export async function historyFigures(
  ground: Ground,
  from: number,
  kills: readonly number[] = [],
  workers: readonly Worker[] = [],
): Promise<Figure[]> {
  const history = await readTaskHistory(ground)
  const { seconds, task } = history.longestIdle({ from, faults: kills })
  console.log(`idle the longest with records that wait: ${task}, ${seconds.toFixed(1)} s`)
  const whole = history.longestIdle({ from })
  if (kills.length > 0) console.log(`over kills in a row: ${whole.task}, ${whole.seconds.toFixed(1)} s`)
  tellWhatHappened(whole, kills, workers)
  const goal = { most: mostIdleSeconds }
  return [
    { name: 'longest idle time of a partition', value: seconds, unit: 's', goal },
    ...(kills.length > 0
      ? [{ name: 'longest idle time over kills in a row', value: whole.seconds, unit: 's', goal }]
      : []),
    ...rewoundFigures(history),
  ]
}

/** What the workers did while a task was idle, in seconds from its beginning. */
function tellWhatHappened({ task, from, to }: Idle, kills: readonly number[], workers: readonly Worker[]): void {
  const words = ['tasks assigned', 'task taken', 'task restored', 'task lost']
  const lines = workers.flatMap(({ log, startedAt }, number) => [
    { time: startedAt, text: `worker ${number} started` },
    ...log
      .filter(
        ({ msg = '', task: own = task, level }) =>
          own === task && (words.includes(msg) || /has died/.test(msg) || Number(level) >= 50),
      )
      .map(({ time, msg, tasks = '' }) => ({ time: Number(time), text: `worker ${number}: ${msg} ${tasks}` })),
  ])
  const all = [...lines, ...kills.map(time => ({ time, text: 'kill' }))].sort((left, right) => left.time - right.time)
  for (const { time, text } of all) {
    if (time > from - 8_000 && time < to + 1_000) console.log(`  ${((time - from) / 1000).toFixed(1)} ${text}`)
  }
}

export function rewoundFigures(history: TaskHistory): Figure[] {
  return [
    { name: 'commits seen', value: history.commits, goal: { least: 1 } },
    { name: 'commits that rewound a task', value: history.rewound, goal: { most: 0 } },
  ]
}
