import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Admin } from 'kafkajs'
import type { BenchGround } from './ground.ts'
import { noopStage, noopTask } from './noop.ts'
import type { Places, Start } from './systems.ts'

/** The share of the records behind which the clock starts: programs are loaded and warm, tasks are shared out. */
const warmShare = 0.25
const pollMs = 20
/** So long nothing may be committed: a program is stuck, or tells its position elsewhere. */
const stallMs = 30_000

export interface Measured {
  recordsPerSecond: number
  /** User + system of all workers. */
  cpuPerTenThousand: number
}

interface Moment {
  ms: number
  cpuSeconds: number
  records: number
}

/** How many records of the input are copied and committed. */
export type Progress = (ground: BenchGround, places: Places) => Promise<number>

/** By the offsets that each system commits in its transactions. */
export function groupProgress(admin: Admin): Progress {
  return async ({ input, ends, records }, { group }) => {
    const [topic] = await admin.fetchOffsets({ groupId: group, topics: [input] }).catch(error => {
      // The coordinator of a new group may not be there yet.
      if (error.retriable) return []
      throw error
    })
    const done = topic?.partitions.map(({ partition, offset }) =>
      Math.min(ends[partition] ?? 0, Math.max(0, Number(offset))),
    )
    return share(done ?? [], ends) * records
  }
}

/** By the task records. */
export const taskProgress: Progress = async ({ pipeline, ends, records }, { name }) => {
  const { transport, serde } = pipeline
  const done = await Promise.all(
    ends.map(async (_, partition) => {
      const message = await transport.get('task', noopTask(name, partition))
      if (!message) return 0
      const { positions } = await serde.decode('task', message.value)
      return positions.find(({ topic }) => topic === noopStage(name).input)?.next ?? 0
    }),
  )
  return share(done, ends) * records
}

/** Control records of transactions among them, which are few and alike in each partition. */
function share(done: readonly number[], ends: readonly number[]): number {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  // A reader may stand before the control record at the end.
  return Math.min(1, (sum(done) + ends.length) / sum(ends))
}

/** Starts workers, measures from the warm share to the end, and ends them. */
export async function measure(
  ground: BenchGround,
  places: Places,
  start: Start,
  { workers, folder, progress }: { workers: number; folder: string; progress: Progress },
): Promise<Measured> {
  const children = Array.from({ length: workers }, (_, worker) =>
    start(ground, places, `${folder}/${places.name}-${worker}`),
  )
  try {
    const moment = async (): Promise<Moment> => {
      const records = await progress(ground, places)
      return { ms: performance.now(), cpuSeconds: sumOf(children.map(cpuSecondsOf)), records }
    }
    let moved = { ms: performance.now(), records: 0 }
    const reach = async (records: number): Promise<Moment> => {
      for (;;) {
        const now = await moment()
        if (now.records >= records) return now
        const ended = children.find(child => child.exitCode !== null)
        if (ended) throw new Error(`${places.name}: a worker ended with ${ended.exitCode}`)
        if (now.records > moved.records) moved = now
        if (now.ms > moved.ms + stallMs) throw new Error(stallOf(ground, places, moved.records))
        await new Promise(resolve => setTimeout(resolve, pollMs))
      }
    }
    const begin = await reach(ground.records * warmShare)
    const end = await reach(ground.records)
    const records = end.records - begin.records
    return {
      recordsPerSecond: (1000 * records) / (end.ms - begin.ms),
      cpuPerTenThousand: (10_000 * (end.cpuSeconds - begin.cpuSeconds)) / records,
    }
  } finally {
    await Promise.all(children.map(end))
  }
}

function stallOf(ground: BenchGround, { name, group, output }: Places, records: number): string {
  const place = ground.name === 'kafka' ? `offsets of group ${group}` : 'its task records'
  const done = `${Math.round(records)} of ${ground.records} records`
  return `${name}, which writes ${output}: after ${done} nothing was committed for ${stallMs / 1000} s by ${place}`
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}

function cpuSecondsOf({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
