/**
 * Kills workers with model calls in flight, and counts at the endpoint what was paid twice; then runs again over the
 * same and over more documents with the same cache.
 *
 * `--on=embedded` (one worker, the default) or `--on=kafka` (three workers of one machine, who share a data folder).
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SqliteSpendingStore } from '../../streams/spending/stores/sqlite.ts'
import { type Services, startServices } from '../services/index.ts'
import { generateDocuments, readDocuments, seeded, sentencesOf } from '../support/documents.ts'
import { FakeModelProcess, type LoggedCall } from '../support/fake-model.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import {
  countDifferent,
  countTwice,
  folderGround,
  type Ground,
  idsOf,
  ingestDocuments,
  kafkaGround,
  killAt,
  until,
  untilDone,
  Worker,
  watchProgress,
  withPipeline,
} from '../support/workers.ts'

/** A topology with a price needs a limit or a yes. */
const noLimit = ['--max-calls', '1000000']

export async function run(options: ScriptOptions): Promise<void> {
  const folder = temporaryFolder()
  const isKafka = options.values.on === 'kafka'
  const services = isKafka ? await startServices({ brokers: 1, registry: true, own: true }) : null
  try {
    const part = options.values.part ?? 'both'
    if (part !== 'again') await kill(options, folder, services)
    if (part !== 'kill') await again(options, folder, services)
  } finally {
    await services?.stop()
    removeFolder(folder)
  }
}

/** A place to work at, with the data folder that holds the cache. */
interface Place {
  ground: Ground
  data: string
}

function placeOf(services: Services | null, folder: string, name: string): Place {
  const data = join(folder, name)
  if (!services) return { ground: folderGround(data), data }
  const { flags, config } = kafkaGround(services, `${name}${process.pid}`)
  return { ground: { flags: [...flags, '--data', data], config: { ...config, data } }, data }
}

function modelFlags(folder: string, fake: FakeModelProcess, name: string): string[] {
  const file = join(folder, `${name}.config.yaml`)
  writeFileSync(file, JSON.stringify({ models: { fake: { baseUrl: fake.url, model: 'fake-model' } } }))
  return ['--config', file, '--model', 'fake', ...noLimit]
}

async function kill(options: ScriptOptions, folder: string, services: Services | null): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 100 : 2_000))
  const kills = Number(options.values.kills ?? (options.short ? 4 : 10))
  const concurrency = Number(options.values.concurrency ?? 32)
  const random = seeded(Number(options.values.seed ?? 1))
  const workers = services ? 3 : 1
  const quick = await FakeModelProcess.start(folder, {}, 'quick')
  const slow = await FakeModelProcess.start(folder, { phases: [{ latencyMs: 200 }] }, 'slow')
  const gang: Worker[] = []
  try {
    const clean = folderGround(join(folder, 'clean'))
    const { ground, data } = placeOf(services, folder, 'killed')
    for (const place of [clean, ground]) await ingestDocuments(place, folder, documents)
    await mustSitu(['run', ...modelFlags(folder, quick, 'clean'), ...clean.flags])
    const needed = await callsOf(clean)
    const flags = modelFlags(folder, slow, 'killed')
    const begin = () => new Worker(ground, ['--follow', '--concurrency', String(concurrency)], flags)
    for (let number = 0; number < workers; number++) gang.push(begin())
    const last = needed - 2 * workers * concurrency
    const moments = Array.from({ length: kills }, () => Math.max(1, last * (0.01 + 0.98 * random())))
    const ended: Worker[] = []
    const states: KillState[] = []
    await watchProgress(ground, async progress => {
      for (const moment of moments.sort((left, right) => left - right)) {
        const { worker, inFlight } = await killAt(gang, progress, moment, random)
        states.push({ inFlight, ...(await stateAfter(slow, data, workers === 1)) })
        ended.push(worker)
        gang[gang.indexOf(worker)] = begin()
      }
    })
    await untilDone(ground, 900_000)
    for (const worker of gang) await worker.end('SIGTERM')
    const moved = [...ended, ...gang].reduce((total, worker) => total + worker.callsLost, 0)
    const verified = await situ(['topics', '--verify', ...ground.flags])
    if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
    const wanted = await idsOf(clean)
    const found = await idsOf(ground)
    const [left, right] = [await contentsOf(clean), await contentsOf(ground)]
    // Those that only one of the runs has are judged by their ids.
    const different = [...left].filter(([id, content]) => right.has(id) && right.get(id) !== content).length
    const inFlight = states.reduce((total, state) => total + state.inFlight, 0)
    const { calls } = slow
    const asked = new Set(calls.map(({ fingerprint }) => fingerprint))
    report(
      'spend',
      [
        { name: 'documents', value: documents },
        { name: 'workers', value: workers },
        { name: 'kills', value: kills },
        {
          name: 'kills with calls in flight',
          value: states.filter(state => state.inFlight > 0).length,
          goal: { least: kills },
        },
        { name: 'calls needed', value: needed },
        { name: 'calls made', value: calls.length },
        { name: 'questions asked', value: asked.size, goal: { most: needed } },
        { name: 'finished calls made again', value: madeAgain(calls, states), goal: { most: 0 } },
        { name: 'calls made again', value: calls.length - asked.size, goal: { most: inFlight + moved } },
        { name: 'calls in flight at the kills', value: inFlight },
        ...(workers > 1 ? [{ name: 'calls of tasks that moved', value: moved }] : []),
        { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
        { name: 'ids twice in a topic', value: countTwice(found), goal: { most: 0 } },
        { name: 'ids that differ from a clean run', value: countDifferent(wanted, found), goal: { most: 0 } },
        { name: 'records that differ from a clean run', value: different, goal: { most: 0 } },
      ],
      options,
    )
  } finally {
    for (const worker of gang) worker.child.kill('SIGKILL')
    await quick.stop()
    await slow.stop()
  }
}

interface KillState {
  inFlight: number
  /** Calls that the endpoint had answered in full, by its own account, before the next worker began. */
  answered: ReadonlySet<string>
  /** Those of them that are not in the cache: their replies were on the way when the worker died. */
  lost: number
  /** Number of the calls that had arrived. */
  arrived: number
}

/** @param isAlone - No other worker calls: then every open call is one of the dead worker's, and ends by itself. */
async function stateAfter(
  fake: FakeModelProcess,
  data: string,
  isAlone: boolean,
): Promise<Omit<KillState, 'inFlight'>> {
  if (isAlone) await until(() => fake.calls.every(({ ended }) => ended !== null), 30_000, 'the end of the open calls')
  const { calls } = fake
  const answered = new Set(calls.filter(({ outcome }) => outcome === 'ok').map(({ fingerprint }) => fingerprint))
  const store = await SqliteSpendingStore.open(data, { create: false, readOnly: true })
  const { replies } = await store.cacheSummary()
  await store.close()
  return { answered, lost: Math.max(0, answered.size - replies), arrived: calls.length }
}

/** Calls whose reply was received and kept, and which came again. */
function madeAgain(calls: readonly LoggedCall[], states: readonly KillState[]): number {
  return states.reduce((total, { answered, lost, arrived }) => {
    const again = new Set(
      calls.slice(arrived).flatMap(({ fingerprint }) => (answered.has(fingerprint) ? fingerprint : [])),
    )
    return total + Math.max(0, again.size - lost)
  }, 0)
}

/** Runs again with the same cache in a fresh place: over the same documents, and over more. */
async function again(options: ScriptOptions, folder: string, services: Services | null): Promise<void> {
  const [many, more] = options.short ? [200, 20] : [Number(options.values.many ?? 10_000), 100]
  const fake = await FakeModelProcess.start(folder, {}, 'again')
  try {
    const flags = modelFlags(folder, fake, 'again')
    const [first, second] = [placeOf(services, folder, 'first'), placeOf(services, folder, 'second')]
    const input = documentsOf(many + more).map(document => `${JSON.stringify(document)}\n`)
    const files = [join(folder, 'many.jsonl'), join(folder, 'more.jsonl')] as const
    writeFileSync(files[0], input.slice(0, many).join(''))
    writeFileSync(files[1], input.slice(many).join(''))
    await mustSitu(['ingest', files[0], ...first.ground.flags])
    await mustSitu(['run', ...flags, ...first.ground.flags])
    const paid = fake.calls.length
    const needed = await callsOf(first.ground)
    mkdirSync(second.data, { recursive: true })
    copyFileSync(join(first.data, 'spending.db'), join(second.data, 'spending.db'))
    await mustSitu(['ingest', files[0], ...second.ground.flags])
    await mustSitu(['run', ...flags, ...second.ground.flags])
    const repeated = fake.calls.length - paid
    const different = countDifferent(await idsOf(first.ground), await idsOf(second.ground))
    await mustSitu(['ingest', files[1], ...second.ground.flags])
    await mustSitu(['run', ...flags, ...second.ground.flags])
    const own = (await callsOf(second.ground)) - needed
    const calls = fake.calls.slice(paid + repeated)
    const known = new Set(fake.calls.slice(0, paid).map(({ fingerprint }) => fingerprint))
    const figures: Figure[] = [
      { name: 'documents', value: many },
      { name: 'calls of the first run', value: paid, goal: { most: needed } },
      { name: 'calls of a second run with its cache', value: repeated, goal: { most: 0 } },
      { name: 'ids that differ between them', value: different, goal: { most: 0 } },
      { name: 'further documents', value: more },
      { name: 'their own calls', value: own },
      { name: 'calls made for them', value: calls.length, goal: { most: own } },
      {
        name: 'of them made before',
        value: calls.filter(({ fingerprint }) => known.has(fingerprint)).length,
        goal: { most: 0 },
      },
    ]
    report('spend again', figures, options)
  } finally {
    await fake.stop()
  }
}

/** The shared documents, and where they are not enough, further ones of their sentences. */
function documentsOf(count: number) {
  const real = readDocuments(Math.min(count, 3_000))
  return real.length >= count
    ? real
    : [...real, ...generateDocuments(count - real.length, sentencesOf(real.slice(0, 500)), 1)]
}

/** Records that have passed a stage with a model. */
function callsOf(ground: Ground): Promise<number> {
  return watchProgress(ground, async progress => (await progress()).calls)
}

/** What situations and instructions say, by their ids; without places, times and costs. */
function contentsOf(ground: Ground): Promise<Map<string, string>> {
  return withPipeline(ground, async ({ transport, serde, partitions }) => {
    const contents = new Map<string, string>()
    for (const topic of ['situation', 'instruction'] as const) {
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { messages } of transport.read(topic, partition, 0)) {
          for (const { value } of messages) {
            const { id, provenance: _, ...content } = await serde.decode(topic, value)
            contents.set(
              id,
              JSON.stringify(content, (key, inner) => (key === 'input' ? undefined : inner)),
            )
          }
        }
      }
    }
    return contents
  })
}
