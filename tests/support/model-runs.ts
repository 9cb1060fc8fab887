import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FakeModelProcess, LoggedCall } from './fake-model.ts'
import type { Situ } from './situ.ts'
import { folderGround, type Ground } from './workers.ts'

/** Flags of a run, which does not ask, with the model `fake` of a configuration file that is written here. */
export function withModels({ flags }: Ground, folder: string, models: Readonly<Record<string, object>>): string[] {
  const file = join(folder, 'situ.config.yaml')
  const named = Object.entries(models).map(([name, model]) => [name, { model: 'fake-model', ...model }])
  writeFileSync(file, JSON.stringify({ models: Object.fromEntries(named) }))
  return ['--config', file, '--model', 'fake', '--yes', ...flags]
}

/** A data folder whose topics have so many partitions. */
export function partitionedGround(data: string, partitions: number): Ground {
  const { flags, config } = folderGround(data)
  return {
    flags: [...flags, '--partitions', String(partitions)],
    config: { ...config, partitions: String(partitions) },
  }
}

/** When the first call came. */
export async function firstCall(fake: FakeModelProcess, workers: readonly Situ[]): Promise<number> {
  for (;;) {
    const [first] = fake.calls
    if (first) return first.arrived
    for (const { child, stderr } of workers) if (child.exitCode !== null) throw new Error(`a worker ended: ${stderr}`)
    await elapsed(Date.now() + 100)
  }
}

/** Resolves at a time, in milliseconds since 1970. */
export function elapsed(time: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, Math.max(0, time - Date.now())))
}

/**
 * Calls a second that were answered between two times. A call counts with the share of its time that lies between them:
 * calls in flight begin and end together, so that their number jumps with where a window begins.
 */
export function perSecond(calls: readonly LoggedCall[], from: number, until: number): number {
  const inside = calls.map(({ arrived, ended, outcome }) => {
    if (outcome !== 'ok' || ended === null) return 0
    return Math.max(0, Math.min(ended, until) - Math.max(arrived, from)) / Math.max(1, ended - arrived)
  })
  return inside.reduce((sum, share) => sum + share, 0) / ((until - from) / 1000)
}

export async function killAll(workers: readonly Situ[]): Promise<void> {
  for (const { child } of workers) child.kill('SIGKILL')
  await Promise.all(workers.map(({ done }) => done))
}
