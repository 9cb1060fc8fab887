/** SIGTERM with calls in flight: no new call, a clean end in time, and nothing that was paid for is called again. */
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
  until,
  Worker,
} from '../support/workers.ts'

/** Between our signal and the moment the worker hears of it. */
const deliveryMs = 100

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 250 : 1_000))
  const concurrency = Number(options.values.concurrency ?? 200)
  const latencyMs = Number(options.values.latency ?? 3_000)
  const drainSeconds = Number(options.values.drain ?? 15)
  const folder = temporaryFolder()
  const isKafka = options.values.on === 'kafka'
  const services = isKafka ? await startServices({ brokers: 1, registry: true, own: true }) : null
  const workers: Worker[] = []
  try {
    const clean = folderGround(join(folder, 'clean'))
    const ground = services ? kafkaGround(services, `drain${process.pid}`) : folderGround(join(folder, 'drained'))
    for (const place of [clean, ground]) await ingestDocuments(place, folder, documents)
    await mustSitu(['run', '--model', 'stand-in', ...clean.flags])
    const wanted = await idsOf(clean)
    const begin = (words: readonly string[], latency: number) => {
      const worker = new Worker(ground, ['--concurrency', String(concurrency), ...words], latency)
      workers.push(worker)
      return worker
    }
    const first = begin(['--follow', '--drain-seconds', String(drainSeconds)], latencyMs)
    // Something is committed then, and as many as can be are under way.
    const isBusy = () => first.calls.length > concurrency && first.callsInFlight >= concurrency
    await until(isBusy, 60_000 + 4 * latencyMs, 'calls in flight')
    const inFlight = first.callsInFlight
    const signalled = Date.now()
    await first.end('SIGTERM')
    const seconds = (Date.now() - signalled) / 1000
    const { code } = await first.done
    const late = first.log.filter(
      ({ msg, time }) => msg === 'model call' && Number(time) > signalled + deliveryMs,
    ).length
    const drained = await idsOf(ground)
    const second = begin([], Math.min(latencyMs, 100))
    const last = await second.done
    if (last.code !== 0) console.log(last.stderr.slice(-2_000))
    const found = await idsOf(ground)
    const verified = await situ(['topics', '--verify', ...ground.flags])
    if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
    const calls = first.calls.length + second.calls.length
    const needed = (wanted.situation?.length ?? 0) + (wanted.instruction?.length ?? 0)
    const replies = first.calls.length - (drained.situation?.length ?? 0) - (drained.instruction?.length ?? 0)
    report(
      'drain',
      [
        { name: 'documents', value: documents },
        { name: 'calls in flight at the signal', value: inFlight, goal: { least: concurrency } },
        { name: 'calls begun after the signal', value: late, goal: { most: 0 } },
        { name: 'exit code after the signal', value: code ?? -1, goal: { most: 0 } },
        { name: 'from signal to end', value: seconds, unit: 's', goal: { most: drainSeconds } },
        { name: 'calls whose outcome was not committed', value: replies, goal: { most: 0 } },
        { name: 'calls made again', value: calls - needed, goal: { most: 0 } },
        { name: 'calls needed and not made', value: needed - calls, goal: { most: 0 } },
        { name: 'exit code of the next run', value: last.code ?? -1, goal: { most: 0 } },
        { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
        { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
        { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
      ],
      options,
    )
  } finally {
    for (const worker of workers) worker.child.kill('SIGKILL')
    await services?.stop()
    removeFolder(folder)
  }
}
