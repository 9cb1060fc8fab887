/**
 * Runs with limits on money and calls, of one worker and of four that share a data folder: what is spent beyond the
 * limit by the endpoint's own log, the exit codes, and whether the next run goes on to the end.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { FakeModelProcess, type LoggedCall } from '../support/fake-model.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { partitionedGround, withModels } from '../support/model-runs.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import { countTwice, type Ground, idsOf, ingestDocuments } from '../support/workers.ts'

const concurrency = 8
/** A token costs a millionth, whatever it is, so that the tokens in the log tell the money. */
const price = { input: 1, output: 1 }
const usdOf = ({ tokens }: LoggedCall) => tokens / 1_000_000
const script = { phases: [{ latencyMs: { median: 200, p99: 600 } }] }

interface Case {
  name: string
  workers: number
  flag: '--max-usd' | '--max-calls' | '--max-usd-per-day'
  limit: number
}

interface Place {
  folder: string
  documents: number
}

export async function run(options: ScriptOptions): Promise<void> {
  const folder = temporaryFolder()
  const documents = Number(options.values.documents ?? (options.short ? 60 : 400))
  try {
    for (const partitions of [1, 4]) {
      const base = groundOf(folder, 'base', partitions)
      await ingestDocuments(base, folder, documents)
      await mustSitu(['run', 'extract', 'dedupe-document', ...base.flags])
    }
    const place = { folder, documents }
    const first = await measure(place, { name: 'calls', workers: 1, flag: '--max-calls', limit: documents })
    const limit = 0.4 * first.usd
    const cases: Case[] = [
      { name: 'calls, four workers', workers: 4, flag: '--max-calls', limit: documents },
      { name: 'money', workers: 1, flag: '--max-usd', limit },
      { name: 'money, four workers', workers: 4, flag: '--max-usd', limit },
      { name: 'money of a day', workers: 1, flag: '--max-usd-per-day', limit },
    ]
    const figures = [...first.figures]
    for (const one of cases) figures.push(...(await measure(place, one)).figures)
    report('budget', [{ name: 'documents', value: documents }, ...figures], options)
  } finally {
    removeFolder(folder)
  }
}

function groundOf(folder: string, name: string, partitions: number): Ground {
  return partitionedGround(join(folder, `${name}-${partitions}`), partitions)
}

async function measure({ folder, documents }: Place, { name, workers, flag, limit }: Case) {
  const file = name.replaceAll(/\W+/g, '-')
  const fake = await FakeModelProcess.start(folder, script, file)
  try {
    const ground = groundOf(folder, file, workers)
    cpSync(join(folder, `base-${workers}`), join(folder, `${file}-${workers}`), { recursive: true })
    const words = ['run', 'situate', 'instruct', '--concurrency', String(concurrency)]
    const flags = withModels(ground, folder, { fake: { baseUrl: fake.url, price } })
    const more = workers > 1 ? ['--follow', '--log-level', 'debug'] : []
    const limited = [...words, ...more, flag, String(limit), ...flags]
    const ended = await Promise.all(Array.from({ length: workers }, () => situ(limited)))
    const spent = fake.calls
    const figures: Figure[] = [
      {
        name: `${name}: workers that ended with 3`,
        value: count(ended, ({ code }) => code === 3),
        goal: { least: workers },
      },
      ...limitFigures(name, spent, flag, limit, workers),
    ]
    if (workers > 1) {
      const busy = count(ended, ({ stderr }) => stderr.includes('"msg":"model reply"'))
      figures.push({ name: `${name}: workers that made calls`, value: busy, goal: { least: 2 } })
    }
    if (flag === '--max-usd-per-day') {
      const again = await situ(limited)
      figures.push(
        { name: `${name}: exit code of another run on the day`, value: again.code ?? -1, goal: { least: 3 } },
        { name: `${name}: its calls`, value: fake.calls.length - spent.length, goal: { most: 0 } },
      )
    }
    const next = await situ([...words, ...flags])
    if (next.code !== 0) console.log(next.stderr)
    const { calls } = fake
    const asked = new Set(calls.map(({ fingerprint }) => fingerprint)).size
    const verified = await situ(['topics', '--verify', ...ground.flags])
    if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
    const ids = await idsOf(ground)
    figures.push(
      { name: `${name}: exit code of the next run`, value: next.code ?? -1, goal: { most: 0 } },
      {
        name: `${name}: instructions missing after it`,
        value: documents - (ids.instruction?.length ?? 0),
        goal: { most: 0 },
      },
      { name: `${name}: calls made twice`, value: calls.length - asked, goal: { most: 0 } },
      { name: `${name}: ids twice in a topic`, value: countTwice(ids), goal: { most: 0 } },
      { name: `${name}: exit code of topics --verify`, value: verified.code ?? -1, goal: { most: 0 } },
    )
    return { figures, usd: calls.reduce((sum, call) => sum + usdOf(call), 0) }
  } finally {
    await fake.stop()
  }
}

function limitFigures(
  name: string,
  calls: readonly LoggedCall[],
  flag: Case['flag'],
  limit: number,
  workers: number,
): Figure[] {
  if (flag === '--max-calls') {
    const [most, least] = [{ most: limit }, { least: limit }]
    return [
      { name: `${name}: calls made`, value: calls.length, goal: most },
      { name: `${name}: of the limit`, value: calls.length, goal: least },
    ]
  }
  let sum = 0
  const byEnd = calls.toSorted((left, right) => (left.ended ?? 0) - (right.ended ?? 0))
  const reached = byEnd.find(call => {
    sum += usdOf(call)
    return sum >= limit
  })
  const spent = calls.reduce((total, call) => total + usdOf(call), 0)
  const later = calls.filter(({ ended }) => (ended ?? 0) > (reached?.ended ?? Number.POSITIVE_INFINITY))
  return [
    { name: `${name}: limit`, value: limit, unit: 'USD' },
    { name: `${name}: spent`, value: spent, unit: 'USD', goal: { least: limit } },
    {
      name: `${name}: calls that ended after it was reached`,
      value: later.length,
      goal: { most: workers * 2 * concurrency - 1 },
    },
    { name: `${name}: most calls in flight at once`, value: mostOpen(calls) },
  ]
}

function mostOpen(calls: readonly LoggedCall[]): number {
  const steps = calls.flatMap(({ arrived, ended }) => [
    { time: arrived, step: 1 },
    { time: ended ?? Number.POSITIVE_INFINITY, step: -1 },
  ])
  let [open, most] = [0, 0]
  for (const { step } of steps.sort((left, right) => left.time - right.time || left.step - right.step)) {
    open += step
    most = Math.max(most, open)
  }
  return most
}

function count<T>(all: readonly T[], isOne: (one: T) => boolean): number {
  return all.filter(isOne).length
}
