/** Workers join and leave all the time: nothing lost, nothing twice, no partition idle for long. */
import { join } from 'node:path'
import { startServices } from '../services/index.ts'
import { seeded } from '../support/documents.ts'
import { report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import {
  countDifferent,
  countTwice,
  folderGround,
  idsOf,
  ingestDocuments,
  kafkaGround,
  progressOf,
  until,
  Worker,
  withPipeline,
} from '../support/workers.ts'

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 150 : 2_500))
  const seconds = Number(options.values.seconds ?? (options.short ? 15 : 120))
  const everyMs = Number(options.values.every ?? 500)
  const latencyMs = Number(options.values.latency ?? 200)
  const random = seeded(Number(options.values.seed ?? 1))
  const folder = temporaryFolder()
  const services = await startServices({ brokers: 1, registry: true, own: true })
  const gang: (Worker | null)[] = [null, null, null, null]
  const all: Worker[] = []
  try {
    const clean = folderGround(join(folder, 'clean'))
    const ground = kafkaGround(services, `rebalance${process.pid}`)
    for (const place of [clean, ground]) await ingestDocuments(place, folder, documents)
    await mustSitu(['run', '--model', 'stand-in', ...clean.flags])
    const begin = (slot: number) => {
      const worker = new Worker(ground, ['--follow', '--drain-seconds', '10'], latencyMs)
      gang[slot] = worker
      all.push(worker)
    }
    for (const slot of gang.keys()) begin(slot)
    const deadline = Date.now() + seconds * 1000
    let changes = 0
    await withPipeline(ground, async pipeline => {
      while (Date.now() < deadline) {
        const slot = Math.floor(random() * gang.length)
        const worker = gang[slot]
        if (worker) {
          worker.child.kill('SIGTERM')
          gang[slot] = null
        } else begin(slot)
        changes++
        await new Promise(resolve => setTimeout(resolve, everyMs))
      }
      for (const slot of gang.keys()) if (!gang[slot]) begin(slot)
      await until(async () => (await progressOf(pipeline)).waiting === 0, 600_000, 'the end of the work')
    })
    for (const worker of all) await worker.end('SIGTERM')
    const [wanted, found] = [await idsOf(clean), await idsOf(ground)]
    const verified = await situ(['topics', '--verify', ...ground.flags])
    if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
    const calls = all.flatMap(worker => worker.calls).length
    const needed = (wanted.situation?.length ?? 0) + (wanted.instruction?.length ?? 0)
    report(
      'rebalance',
      [
        { name: 'documents', value: documents },
        { name: 'workers stopped or started', value: changes },
        { name: 'calls made again', value: calls - needed },
        { name: 'calls of tasks that moved', value: all.reduce((sum, worker) => sum + worker.callsLost, 0) },
        { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
        { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
        { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
      ],
      options,
    )
  } finally {
    for (const worker of all) worker.child.kill('SIGKILL')
    await services.stop()
    removeFolder(folder)
  }
}
