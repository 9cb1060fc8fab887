/**
 * An endpoint whose capacity changes, and limits per minute that four workers share: what is used of them, and how
 * often the endpoint has to refuse. And an endpoint without a limit that refuses a call now and then.
 *
 * `--part=capacity|shared|strays`; the workers share a data folder, with `--on=kafka` brokers too. With
 * `--spending=redis` their limits are in Redis, and with brokers each has a data folder of its own.
 */
import { join } from 'node:path'
import { startServices } from '../services/index.ts'
import { RedisServer } from '../services/redis.ts'
import { FakeModelProcess, type LoggedCall } from '../support/fake-model.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { elapsed, firstCall, killAll, partitionedGround, perSecond, withModels } from '../support/model-runs.ts'
import { mustSitu, removeFolder, Situ, temporaryFolder } from '../support/situ.ts'
import { folderGround, ingestDocuments, kafkaGround } from '../support/workers.ts'

const capacities = [20, 5, 20]
const bucketMs = 10_000
const adaptingMs = 30_000
const minuteMs = 60_000
const strayWindowMs = 20_000
/** Limits that are configured need not be found: until then all workers have begun. */
const startingMs = 15_000
/** On one machine each worker takes what it finds free: one of the four may find nothing. */
const fewestWorkers = 2

export async function run(options: ScriptOptions): Promise<void> {
  const part = options.values.part ?? 'all'
  if (['all', 'capacity'].includes(part)) await followCapacity(options)
  if (['all', 'shared'].includes(part)) await shareLimits(options)
  if (['all', 'strays'].includes(part)) await bearStrays(options)
}

async function followCapacity(options: ScriptOptions): Promise<void> {
  const phaseMs = 1000 * Number(options.values.seconds ?? (options.short ? 60 : 90))
  const folder = temporaryFolder()
  const phases = capacities.map(requestsPerSecond => ({
    requestsPerSecond,
    latencyMs: { median: 300, p99: 900 },
    forSeconds: phaseMs / 1000,
  }))
  const fake = await FakeModelProcess.start(folder, { phases: [...phases, { requestsPerSecond: 20, latencyMs: 300 }] })
  const workers: Situ[] = []
  try {
    const ground = folderGround(join(folder, 'data'))
    await ingestDocuments(ground, folder, options.short ? 1_700 : 2_600)
    const flags = withModels(ground, folder, { fake: { baseUrl: fake.url } })
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    workers.push(new Situ(['run', 'situate', 'instruct', '--follow', '--concurrency', '64', ...flags]))
    const first = await firstCall(fake, workers)
    await elapsed(first + phases.length * phaseMs)
    await killAll(workers)
    const calls = fake.calls.filter(({ arrived }) => arrived < first + phases.length * phaseMs)
    const capacityAt = (time: number) => capacities[Math.floor((time - first) / phaseMs)] ?? 0
    printCurve(calls, first, capacityAt)
    report('rates', capacityFigures(calls, first, phaseMs), options)
  } finally {
    await killAll(workers)
    await fake.stop()
    removeFolder(folder)
  }
}

function capacityFigures(calls: readonly LoggedCall[], first: number, phaseMs: number): Figure[] {
  const used = capacities.map((perSecond, phase) => {
    const [from, until] = [first + phase * phaseMs + adaptingMs, first + (phase + 1) * phaseMs]
    const accepted = calls.filter(({ arrived, outcome }) => outcome === 'ok' && arrived >= from && arrived < until)
    const name = `used of ${perSecond} a second, from 30 s after the ${phase === 0 ? 'start' : `change ${phase}`}`
    return {
      name,
      value: (100 * accepted.length) / ((perSecond * (until - from)) / 1000),
      unit: '%',
      goal: { least: 90 },
    }
  })
  const refused = calls.filter(({ outcome }) => outcome === 'rate-limited').length
  return [
    { name: 'calls', value: calls.length },
    ...used,
    { name: 'calls that were refused (429)', value: (100 * refused) / calls.length, unit: '%', goal: { most: 2 } },
  ]
}

function printCurve(calls: readonly LoggedCall[], first: number, capacityAt: (time: number) => number): void {
  console.log('second  capacity  calls/s  used  refused')
  const buckets = Map.groupBy(calls, ({ arrived }) => Math.floor((arrived - first) / bucketMs))
  for (const [bucket, inside] of [...buckets].sort(([left], [right]) => left - right)) {
    const capacity = capacityAt(first + bucket * bucketMs)
    const refused = inside.filter(({ outcome }) => outcome === 'rate-limited').length
    const perSecond = (inside.length - refused) / (bucketMs / 1000)
    const used = `${Math.round((100 * perSecond) / capacity)} %`
    const columns = [String((bucket * bucketMs) / 1000), String(capacity), perSecond.toFixed(1), used, String(refused)]
    console.log([6, 8, 7, 5, 7].map((width, column) => columns[column]?.padStart(width)).join('  '))
  }
}

/** Refusals that have nothing to do with the rate: the calls are as many as are in flight. */
async function bearStrays(options: ScriptOptions): Promise<void> {
  const seconds = Number(options.values.seconds ?? (options.short ? 60 : 120))
  const share = Number(options.values.share ?? 0.02)
  const [latencyMs, concurrency] = [400, 16]
  const folder = temporaryFolder()
  const fake = await FakeModelProcess.start(folder, {
    phases: [{ latencyMs, faults: [{ kind: 'status', status: 429, share }] }],
  })
  const workers: Situ[] = []
  try {
    const ground = folderGround(join(folder, 'data'))
    await ingestDocuments(ground, folder, Math.ceil((seconds * concurrency * 1000) / latencyMs))
    const flags = withModels(ground, folder, { fake: { baseUrl: fake.url } })
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    workers.push(new Situ(['run', 'situate', 'instruct', '--follow', '--concurrency', String(concurrency), ...flags]))
    const first = await firstCall(fake, workers)
    const until = first + seconds * 1000
    await elapsed(until + 2 * latencyMs)
    await killAll(workers)
    const calls = fake.calls.filter(({ arrived }) => arrived < until)
    const most = (2 * concurrency * 1000) / latencyMs
    const late = perSecond(calls, until - strayWindowMs, until)
    report(
      'rates strays',
      [
        { name: 'calls refused', value: calls.filter(({ outcome }) => outcome === 'status').length },
        { name: 'calls/s in the first 30 s', value: perSecond(calls, first, first + adaptingMs) },
        { name: 'calls/s in the last 20 s', value: late },
        { name: 'of what is in flight at once', value: (100 * late) / most, unit: '%' },
      ],
      options,
    )
  } finally {
    await killAll(workers)
    await fake.stop()
    removeFolder(folder)
  }
}

/** Four workers, each with some of the tasks; the endpoint takes everything and its log is judged. */
async function shareLimits(options: ScriptOptions): Promise<void> {
  const seconds = Number(options.values.seconds ?? (options.short ? 75 : 180))
  const requestsPerMinute = Number(options.values.requests ?? 280)
  const tokensPerMinute = Number(options.values.tokens ?? 2_000_000)
  const folder = temporaryFolder()
  const services = options.values.on === 'kafka' ? await startServices({ brokers: 1, registry: true, own: true }) : null
  const fake = await FakeModelProcess.start(folder, { phases: [{ latencyMs: { median: 300, p99: 900 } }] })
  const redis = options.values.spending === 'redis' ? await RedisServer.start() : null
  const workers: Situ[] = []
  try {
    const ground = services ? kafkaGround(services, `rates${process.pid}`) : partitionedGround(join(folder, 'data'), 4)
    await ingestDocuments(ground, folder, options.short ? 800 : 2_000)
    const limits = { baseUrl: fake.url, requestsPerMinute, tokensPerMinute }
    const flags = [...withModels(ground, folder, { fake: limits }), ...(redis ? ['--spending', redis.url] : [])]
    const dataOf = (worker: number) => ['--data', join(folder, redis ? `data-${worker}` : 'data')]
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    for (let worker = 0; worker < 4; worker++) {
      const words = ['run', 'situate', 'instruct', '--follow', '--log-level', 'debug', '--concurrency', '32']
      workers.push(new Situ([...words, ...flags, ...(services ? dataOf(worker) : [])]))
    }
    const first = await firstCall(fake, workers)
    await elapsed(first + seconds * 1000)
    await killAll(workers)
    const busy = workers.filter(({ stderr }) => stderr.includes('"msg":"model call"')).length
    const calls = fake.calls.filter(({ arrived }) => arrived < first + seconds * 1000)
    report('rates', limitFigures(calls, first, seconds * 1000, busy, { requestsPerMinute, tokensPerMinute }), options)
  } finally {
    await killAll(workers)
    await fake.stop()
    await services?.stop()
    await redis?.stop()
    removeFolder(folder)
  }
}

function limitFigures(
  calls: readonly LoggedCall[],
  first: number,
  spanMs: number,
  busy: number,
  limits: { requestsPerMinute: number; tokensPerMinute: number },
): Figure[] {
  const late = calls.filter(({ arrived }) => arrived >= first + startingMs)
  const minutes = (spanMs - startingMs) / minuteMs
  const requestShare = late.length / minutes / limits.requestsPerMinute
  const tokenShare = late.reduce((sum, { tokens }) => sum + tokens, 0) / minutes / limits.tokensPerMinute
  const most = { requests: mostInWindow(calls, () => 1), tokens: mostInWindow(calls, ({ tokens }) => tokens) }
  return [
    { name: 'workers that made calls', value: busy, goal: { least: fewestWorkers } },
    { name: 'calls', value: calls.length },
    { name: 'most requests in 60 s', value: most.requests, goal: { most: limits.requestsPerMinute } },
    { name: 'most tokens in 60 s', value: most.tokens, goal: { most: limits.tokensPerMinute } },
    { name: 'used of requests per minute', value: 100 * requestShare, unit: '%' },
    { name: 'used of tokens per minute', value: 100 * tokenShare, unit: '%' },
    {
      name: 'used of the tighter one',
      value: 100 * Math.max(requestShare, tokenShare),
      unit: '%',
      goal: { least: 85 },
    },
  ]
}

/** The most of anything in 60 seconds, by time of arrival. */
function mostInWindow(calls: readonly LoggedCall[], amountOf: (call: LoggedCall) => number): number {
  const sorted = calls.toSorted((left, right) => left.arrived - right.arrived)
  let [most, sum, from] = [0, 0, 0]
  for (const call of sorted) {
    sum += amountOf(call)
    for (let old = sorted[from]; old && old.arrived <= call.arrived - minuteMs; old = sorted[++from])
      sum -= amountOf(old)
    most = Math.max(most, sum)
  }
  return most
}
