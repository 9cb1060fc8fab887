/** Brokers go down and come back, cleanly and by kill -9, while records flow: what goes in comes out, once. */
import { join } from 'node:path'
import { startServices } from '../services/index.ts'
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
  const documents = Number(options.values.documents ?? (options.short ? 150 : 4_000))
  const bounces = Number(options.values.bounces ?? (options.short ? 2 : 5))
  const downSeconds = Number(options.values.down ?? (options.short ? 5 : 120))
  const folder = temporaryFolder()
  const services = await startServices({ brokers: 3, registry: true, own: true })
  const workers: Worker[] = []
  try {
    const clean = folderGround(join(folder, 'clean'))
    const three = kafkaGround(services, `bounce${process.pid}`)
    const ground = { flags: [...three.flags, '--replication', '3'], config: { ...three.config, replication: '3' } }
    for (const place of [clean, ground]) await ingestDocuments(place, folder, documents)
    await mustSitu(['run', '--model', 'stand-in', ...clean.flags])
    for (let count = 0; count < 2; count++) workers.push(new Worker(ground, ['--follow'], 100))
    const doneNow = () => withPipeline(ground, async pipeline => (await progressOf(pipeline)).done)
    let longestMs = 0
    const progressAgain = async (before: number) => {
      const start = Date.now()
      await until(async () => (await doneNow()) > before || (await isDone()), 120_000, 'progress after a bounce')
      longestMs = Math.max(longestMs, Date.now() - start)
    }
    const isDone = () => withPipeline(ground, async pipeline => (await progressOf(pipeline)).waiting === 0)
    for (let bounce = 0; bounce < bounces; bounce++) {
      const broker = 1 + (bounce % 3)
      await services.killBroker(broker, bounce % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
      const before = await doneNow()
      await progressAgain(before)
      await services.restartBroker(broker)
    }
    for (const broker of [1, 2, 3]) await services.killBroker(broker, 'SIGKILL')
    await new Promise(resolve => setTimeout(resolve, downSeconds * 1000))
    const alive = workers.filter(worker => worker.child.exitCode === null).length
    await Promise.all([1, 2, 3].map(broker => services.restartBroker(broker)))
    await until(isDone, 900_000, 'the end of the work')
    for (const worker of workers) await worker.end('SIGTERM')
    const [wanted, found] = [await idsOf(clean), await idsOf(ground)]
    const verified = await situ(['topics', '--verify', ...ground.flags])
    if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
    report(
      'bounce',
      [
        { name: 'documents', value: documents },
        { name: 'bounces', value: bounces },
        { name: 'longest wait for progress', value: longestMs / 1000, unit: 's', goal: { most: 60 } },
        { name: 'workers alive after all brokers were down', value: alive, goal: { least: 2 } },
        { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
        { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
        { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
      ],
      options,
    )
  } finally {
    for (const worker of workers) worker.child.kill('SIGKILL')
    await services.stop()
    removeFolder(folder)
  }
}
