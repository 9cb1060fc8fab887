/**
 * An endpoint that goes down and comes back: calls wait, no record pays for it. Also one that never answers, and a
 * second one that steps in.
 */
import { join } from 'node:path'
import { freePorts } from '../services/ports.ts'
import { FakeModelProcess, type LoggedCall } from '../support/fake-model.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { elapsed, firstCall, killAll, perSecond, withModels } from '../support/model-runs.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'
import { folderGround, ingestDocuments } from '../support/workers.ts'

/** Long, so that the load of the machine counts little. */
const latencyMs = 3_000
const concurrency = 8
/** Both stages are busy. */
const callsPerSecond = (2 * concurrency * 1000) / latencyMs
/** The breaker's interval between probes, and its bounds. */
const intervals = [1_000, 2_000, 4_000, 8_000, 15_000]
/** Failures in a row that open it. */
const failuresToOpen = 5
const recoveryMs = 30_000
const windowMs = 10_000

export async function run(options: ScriptOptions): Promise<void> {
  const part = options.values.part ?? 'all'
  const parts = {
    never: () => neverAnswered(options),
    '503': () => outage('503', options),
    refuse: () => outage('refuse', options),
    hang: () => outage('hang', options),
    failover: () => failover(options),
  }
  // They wait most of the time, so that they take nothing from each other.
  await Promise.all(Object.entries(parts).map(([name, make]) => ['all', name].includes(part) && make()))
}

type Down = '503' | 'refuse' | 'hang'

/** One worker before an endpoint that is down for a while. Calls that hang end by their time limit alone. */
async function outage(down: Down, options: ScriptOptions): Promise<void> {
  const isHanging = down === 'hang'
  const downMs = 1000 * Number(options.values.seconds ?? (options.short || isHanging ? 10 : 60))
  const beforeMs = options.short ? 20_000 : 30_000
  const folder = temporaryFolder()
  const phase = isHanging ? { faults: [{ kind: 'hang', share: 1 }] } : { down }
  const phases = [{ latencyMs, forSeconds: beforeMs / 1000 }, { ...phase, forSeconds: downMs / 1000 }, { latencyMs }]
  const fake = await FakeModelProcess.start(folder, { phases })
  const workers: Situ[] = []
  try {
    const ground = folderGround(join(folder, 'data'))
    const upSeconds = (beforeMs + recoveryMs + windowMs) / 1000
    await ingestDocuments(ground, folder, Math.ceil((upSeconds * callsPerSecond) / 2))
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    const flags = withModels(ground, folder, { fake: { baseUrl: fake.url } })
    const limit = isHanging ? ['--model-timeout-seconds', '10'] : []
    const worker = new Situ(['run', '--log-level', 'debug', '--concurrency', String(concurrency), ...limit, ...flags])
    workers.push(worker)
    const first = await firstCall(fake, workers)
    const { code, stderr } = await worker.done
    const from = first + beforeMs
    const until = from + downMs
    const figures = [
      ...openingFigures(fake.calls, stderr, from, until, down),
      ...throughputFigures(fake.calls, first, from, until),
      { name: 'exit code of the run', value: code ?? -1, goal: { most: 0 } },
      ...(await recordFigures(ground.flags)),
    ]
    report(`outage ${down}`, figures, options)
  } finally {
    await killAll(workers)
    await fake.stop()
    removeFolder(folder)
  }
}

/** What failed before the breaker opened, and what was called while it was open. */
function openingFigures(
  calls: readonly LoggedCall[],
  stderr: string,
  from: number,
  until: number,
  down: Down,
): Figure[] {
  const lines = logOf(stderr)
  const opening = lines.findIndex(({ msg }) => msg.includes('is down, calls wait'))
  const opened = lines[opening]?.time ?? Number.POSITIVE_INFINITY
  const failed = calls.filter(({ arrived, outcome }) => outcome === 'down' && arrived >= from - latencyMs)
  const tries = failedTries(lines)
  const fifth = tries[failuresToOpen - 1]?.end ?? Number.POSITIVE_INFINITY
  const inFlight = tries.filter(({ begin, end }) => begin < fifth && end > fifth)
  const needless = tries.filter(({ begin }) => opening >= 0 && begin > opening)
  const probes = failed.filter(({ step }) => step === 'probe').map(({ arrived }) => arrived)
  const gaps = probes.map((time, index) => time - (probes[index - 1] ?? opened))
  const early = gaps.filter((gap, index) => gap < 0.95 * (intervals[index] ?? intervals.at(-1) ?? 0))
  const closed = lines.find(({ msg }) => msg.includes('answers again'))?.time ?? Number.POSITIVE_INFINITY
  // Connections that are refused do not reach the log, and what hangs or was open fails all at once.
  const counted: Figure[] =
    down !== '503'
      ? []
      : [
          {
            name: 'failed calls until it opened, but for those in flight at the fifth',
            value: tries.length - inFlight.length - needless.length,
            goal: { most: 10 },
          },
          { name: 'calls in flight then that failed', value: inFlight.length },
          { name: 'probes while it was down', value: probes.length },
          { name: 'probes before their interval was over', value: early.length, goal: { most: 0 } },
          { name: 'other calls while it was open', value: needless.length, goal: { most: 0 } },
        ]
  return [
    { name: 'from the outage to the opening', value: (opened - from) / 1000, unit: 's' },
    ...counted,
    { name: 'from the end of the outage to the first calls', value: (closed - until) / 1000, unit: 's' },
  ]
}

function throughputFigures(calls: readonly LoggedCall[], first: number, from: number, until: number): Figure[] {
  const before = perSecond(calls, Math.max(first + 5_000, from - windowMs), from)
  return [{ name: 'calls/s before', value: before }, ...backFigures(calls, before, until)]
}

/** What the calls a second are again within 30 s: in the best 10 of them, so that others' load counts less. */
function backFigures(calls: readonly LoggedCall[], before: number, until: number): Figure[] {
  const begins = Array.from({ length: (recoveryMs - windowMs) / 1000 + 1 }, (_, second) => until + 1000 * second)
  const best = Math.max(...begins.map(begin => perSecond(calls, begin, begin + windowMs)))
  const last = perSecond(calls, until + recoveryMs - windowMs, until + recoveryMs)
  return [
    { name: 'of it 20 to 30 s after', value: (100 * last) / before, unit: '%' },
    { name: 'of it within 30 s', value: (100 * best) / before, unit: '%', goal: { least: 90 } },
  ]
}

async function recordFigures(flags: readonly string[]): Promise<Figure[]> {
  const verified = await situ(['topics', '--verify', '--json', ...flags])
  const { topics, operators } = JSON.parse(verified.stdout)
  const waiting = Object.values(operators as Record<string, { lag: number; inFlight: number }>)
  return [
    { name: 'dead letters', value: topics.failed.records, goal: { most: 0 } },
    {
      name: 'records that still wait',
      value: waiting.reduce((sum, { lag, inFlight }) => sum + lag + inFlight, 0),
      goal: { most: 0 },
    },
    { name: 'exit code of topics --verify (1: records lost)', value: verified.code ?? -1, goal: { most: 0 } },
  ]
}

/** Endpoints that never answer: one line, exit 1, three calls at most, no dead letter. */
async function neverAnswered(options: ScriptOptions): Promise<void> {
  const folder = temporaryFolder()
  const ground = folderGround(join(folder, 'data'))
  const cases: Record<string, object> = {
    'a wrong key': { apiKey: 'another' },
    'a wrong model name': { models: ['another'] },
    'a status of 503': { phases: [{ down: '503' }] },
    'no answer in time': { phases: [{ faults: [{ kind: 'hang', share: 1 }] }] },
    'answers that are cut': { phases: [{ faults: [{ kind: 'cut', share: 1 }] }] },
  }
  const figures: Figure[] = []
  try {
    await ingestDocuments(ground, folder, 50)
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    for (const [name, script] of Object.entries(cases)) {
      const fake = await FakeModelProcess.start(folder, script, name.replaceAll(' ', '-'))
      try {
        figures.push(...(await endFigures(name, folder, fake.url)))
        figures.push({ name: `${name}: calls`, value: fake.calls.length, goal: { most: 3 } })
      } finally {
        await fake.stop()
      }
    }
    const [port] = await freePorts(1)
    figures.push(...(await endFigures('no server', folder, `http://127.0.0.1:${port}/v1`)))
    const { topics } = JSON.parse((await mustSitu(['topics', '--json', ...ground.flags])).stdout)
    figures.push({ name: 'dead letters', value: topics.failed.records, goal: { most: 0 } })
    report('outage never answered', figures, options)
  } finally {
    removeFolder(folder)
  }
}

async function endFigures(name: string, folder: string, baseUrl: string): Promise<Figure[]> {
  const flags = withModels(folderGround(join(folder, 'data')), folder, { fake: { baseUrl } })
  const { code, stderr } = await situ(['run', '--model-timeout-seconds', '5', ...flags])
  const lines = stderr.match(/^situ: .*$/gm) ?? []
  console.log(`${name}: ${lines.join('\n')}`)
  return [
    { name: `${name}: lines but one`, value: Math.abs(lines.length - 1), goal: { most: 0 } },
    { name: `${name}: exit codes but 1`, value: code === 1 ? 0 : 1, goal: { most: 0 } },
  ]
}

/** A second endpoint gets the calls while the first is down. */
async function failover(options: ScriptOptions): Promise<void> {
  const seconds = Number(options.values.seconds ?? (options.short ? 20 : 60))
  const folder = temporaryFolder()
  const phases = [{ latencyMs, forSeconds: 20 }, { down: '503', forSeconds: seconds }, { latencyMs }]
  const fake = await FakeModelProcess.start(folder, { phases })
  const spare = await FakeModelProcess.start(folder, { phases: [{ latencyMs }] }, 'spare')
  const workers: Situ[] = []
  try {
    const ground = folderGround(join(folder, 'data'))
    await ingestDocuments(ground, folder, Math.ceil(((90 + seconds) * callsPerSecond) / 2))
    await mustSitu(['run', 'extract', 'dedupe-document', ...ground.flags])
    const models = { fake: { baseUrl: fake.url, failover: 'spare' }, spare: { baseUrl: spare.url } }
    const flags = withModels(ground, folder, models)
    workers.push(new Situ(['run', '--follow', '--concurrency', String(concurrency), ...flags]))
    const first = await firstCall(fake, workers)
    const [from, until] = [first + 20_000, first + 20_000 + 1000 * seconds]
    await elapsed(until + recoveryMs + 2 * latencyMs)
    const [own, other] = [fake.calls, spare.calls]
    const before = perSecond(own, from - windowMs, from)
    const during = (100 * perSecond(other, from + 5_000, until)) / before
    const needless = other.filter(({ arrived }) => arrived < from || arrived > until + recoveryMs - windowMs)
    const figures: Figure[] = [
      { name: 'calls/s before', value: before },
      { name: 'of it at the second while the first is down', value: during, unit: '%', goal: { least: 90 } },
      ...backFigures(own, before, until),
      { name: 'calls at the second while the first is up', value: needless.length, goal: { most: 0 } },
    ]
    report('outage failover', figures, options)
  } finally {
    await killAll(workers)
    await fake.stop()
    await spare.stop()
    removeFolder(folder)
  }
}

interface LogLine {
  msg: string
  time: number
  stage?: string
  input?: string
}

/**
 * Calls of records that failed, as the worker's log orders them: those that another call of the same record follows.
 * The log of the endpoint can't tell which were in flight for the worker, since it refuses each within a millisecond.
 *
 * @returns Lines of their begin and end, in the order of ending.
 */
function failedTries(lines: readonly LogLine[]): { begin: number; end: number }[] {
  const tries = new Map<string, { begin: number; end: number }>()
  const failed: { begin: number; end: number }[] = []
  for (const [index, { msg, stage, input }] of lines.entries()) {
    const record = `${stage} ${input}`
    const last = tries.get(record)
    if (msg === 'model reply' && last) last.end = index
    if (msg !== 'model call') continue
    if (last) failed.push(last)
    tries.set(record, { begin: index, end: Number.POSITIVE_INFINITY })
  }
  return failed.sort((left, right) => left.end - right.end)
}

function logOf(stderr: string): LogLine[] {
  return stderr.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line)] : []))
}
