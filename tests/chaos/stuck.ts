/** One record whose calls hang and one whose calls always fail: the others go on as if they were not there. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FakeProvider, type ProviderRequest } from '../fake-provider.ts'
import { readDocuments } from '../support/documents.ts'
import { type FaultRun, isOnKafka, sizeOf, withFaultRun } from '../support/fault-run.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, Situ, situ } from '../support/situ.ts'
import { type Ground, untilProgress, withPipeline } from '../support/workers.ts'

const hangingNumber = 3
const failingNumber = 5
const partitions = 4
/** Start and end of a run are slow for reasons of their own: this share of the calls is not timed at either. */
const untimedShare = 0.15

interface Sizes {
  documents: number
  /** Calls in flight of each task. */
  concurrency: number
  latencyMs: number
}

interface Worked {
  perSecond: number
  /** Peak of the worker. */
  megabytes: number
  /** Peak when half of the calls were done. */
  halfwayMegabytes: number
  hung: number
  failed: number
  /** Ranges of the finished set, and bytes of the task record: the most that was seen. */
  ranges: number
  recordBytes: number
  rangesLeft: number
  waiting: number
}

export async function run(options: ScriptOptions): Promise<void> {
  await withFaultRun({ kafka: isOnKafka(options) }, async run => report('stuck', await measure(run, options), options))
}

async function measure(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const documents = sizeOf(options, 'documents', options.short ? 300 : 2_000)
  const inFlight = sizeOf(options, 'concurrency', 200)
  const pairs = sizeOf(options, 'pairs', options.short ? 1 : 3)
  const concurrency = inFlight / (run.isKafka ? partitions : 1)
  const sizes = { documents, concurrency, latencyMs: sizeOf(options, 'latency', options.short ? 50 : 3_000) }
  const input = join(run.folder, 'documents.jsonl')
  const lines = readDocuments(documents).map(({ text, ...document }, number) =>
    JSON.stringify({ ...document, text: `This is record number ${number} of the run.\n\n${text}` }),
  )
  writeFileSync(input, `${lines.join('\n')}\n`)

  const without: Worked[] = []
  const beside: Worked[] = []
  let stuck = run.ground('stuck', partitions)
  for (let pair = 0; pair < pairs; pair++) {
    const plain = run.ground(`plain-${pair}-`, partitions)
    stuck = run.ground(`stuck-${pair}-`, partitions)
    for (const { flags } of [plain, stuck]) await mustSitu(['ingest', input, ...flags])
    // At the same time: what else the machine has to do slows down both.
    await Promise.all([workUntilKilled(plain, sizes, without, false), workUntilKilled(stuck, sizes, beside, true)])
  }
  const again = await workAgain(stuck, sizes)
  const verified = await situ(['topics', '--verify', ...stuck.flags])
  if (verified.code !== 0) console.log(verified.stdout, verified.stderr)

  const ratios = beside.map(({ perSecond }, index) => perSecond / (without[index]?.perSecond ?? 0))
  const most = (value: (worked: Worked) => number) => Math.max(...beside.map(value))
  console.log(`throughput against the run without them, pair by pair: ${ratios.map(one => one.toFixed(3)).join(', ')}`)
  return [
    { name: 'documents', value: documents },
    { name: 'calls in flight of a stage', value: inFlight },
    { name: 'calls per second without them', value: median(without.map(({ perSecond }) => perSecond)) },
    { name: 'calls per second beside them', value: median(beside.map(({ perSecond }) => perSecond)) },
    {
      name: 'throughput against the run without them',
      value: median(ratios),
      ...(!options.short && { goal: { least: 0.95 } }),
    },
    { name: 'memory', value: most(({ megabytes }) => megabytes), unit: 'MB' },
    {
      name: 'memory against the run without them',
      value: median(beside.map(({ megabytes }, index) => megabytes / (without[index]?.megabytes ?? 0))),
      goal: { most: 1.3 },
    },
    {
      name: 'memory at the end against halfway',
      value: median(beside.map(({ megabytes, halfwayMegabytes }) => megabytes / (halfwayMegabytes || megabytes))),
      ...(!options.short && { goal: { most: 1.2 } }),
    },
    { name: 'calls that hung', value: beside.at(-1)?.hung ?? 0, goal: { least: 1 } },
    { name: 'calls that failed', value: beside.at(-1)?.failed ?? 0, goal: { least: 2 } },
    { name: 'records waiting at the kill', value: most(({ waiting }) => waiting), goal: { most: 1 } },
    // No more gaps can be between finished records than records are open.
    {
      name: 'ranges in the finished set, at most',
      value: most(({ ranges }) => ranges),
      goal: { most: 2 * concurrency },
    },
    { name: 'largest task record', value: most(({ recordBytes }) => recordBytes), unit: 'bytes' },
    { name: 'ranges in the finished set at the kill', value: most(({ rangesLeft }) => rangesLeft), goal: { least: 1 } },
    { name: 'calls of finished records after the restart', value: again.others, goal: { most: 0 } },
    { name: 'calls of the hanging record after the restart', value: again.hanging, goal: { least: 1 } },
    { name: 'dead letters beside that of the failing record', value: again.deadLetters - 1, goal: { most: 0 } },
    { name: 'exit code of the next run', value: again.code, goal: { most: 0 } },
    { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
  ]
}

/** Works everything that can be worked, then is killed; the calls tell the speed, without start and waits. */
async function workUntilKilled(ground: Ground, sizes: Sizes, results: Worked[], isStuck: boolean): Promise<void> {
  const moments: number[] = []
  let [hung, failed] = [0, 0]
  const provider = await FakeProvider.start(request => {
    const number = numberOf(request)
    if (isStuck && number === hangingNumber) {
      hung++
      return { kind: 'hang' }
    }
    if (isStuck && number === failingNumber) {
      failed++
      return { kind: 'status', status: 500 }
    }
    moments.push(performance.now())
    return { kind: 'ok', latencyMs: sizes.latencyMs }
  })
  const worker = startWorker(ground, provider, sizes, ['--follow'])
  const seen = { ranges: 0, recordBytes: 0, rangesLeft: 0, waiting: Number.POSITIVE_INFINITY, halfwayMegabytes: 0 }
  try {
    const peaks: (number | undefined)[] = []
    await untilProgress(
      ground,
      ({ waiting, calls, ranges }) => {
        if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.stderr.slice(-2_000)}`)
        // Two for each document.
        const share = calls / (2 * sizes.documents)
        peaks[Math.floor(10 * share)] ??= worker.peakMegabytes
        if (share < 0.5) seen.halfwayMegabytes = worker.peakMegabytes
        seen.waiting = waiting
        seen.ranges = Math.max(seen.ranges, ranges)
        return moments.length > 0 && waiting <= (isStuck ? 1 : 0)
      },
      'the end of the work',
    )
    const which = isStuck ? 'beside them' : 'without them'
    console.log(
      `peak memory ${which}, by tenths of the calls: ${[...peaks].map(peak => peak?.toFixed(0) ?? '').join(', ')} MB`,
    )
    const { ranges, ...sets } = await readFinishedSets(ground)
    Object.assign(seen, sets, { ranges: Math.max(seen.ranges, ranges) })
  } finally {
    worker.child.kill('SIGKILL')
    await worker.done
    await provider.close()
  }
  const untimed = Math.floor(moments.length * untimedShare)
  const timed = moments.slice(untimed, moments.length - untimed)
  const seconds = ((timed.at(-1) ?? 0) - (timed[0] ?? 0)) / 1000
  const { peakMegabytes: megabytes, cpuSeconds } = await worker.done
  console.log(`CPU ${which(isStuck)}: ${((1000 * cpuSeconds) / moments.length).toFixed(2)} s for 1,000 calls`)
  results.push({ ...seen, perSecond: timed.length / seconds, megabytes, hung, failed })
}

function which(isStuck: boolean): string {
  return isStuck ? 'beside them' : 'without them'
}

/** The next start: the record that hung is answered now. */
async function workAgain(ground: Ground, sizes: Sizes) {
  const numbers: (number | null)[] = []
  const provider = await FakeProvider.start(request => {
    numbers.push(numberOf(request))
    return { kind: 'ok' }
  })
  const worker = startWorker(ground, provider, sizes, [])
  try {
    const { code, stderr } = await worker.done
    if (code !== 0) console.log(stderr.slice(-2_000))
    const hanging = numbers.filter(number => number === hangingNumber).length
    const deadLetters = await withPipeline(ground, async ({ transport }) => {
      let count = 0
      const partitions = (await transport.topics()).find(({ name }) => name === 'failed')?.partitions ?? 0
      for (let partition = 0; partition < partitions; partition++) {
        for await (const _ of transport.compacted('failed', partition)) count++
      }
      return count
    })
    return { others: numbers.length - hanging, hanging, deadLetters, code: code ?? -1 }
  } finally {
    worker.child.kill('SIGKILL')
    await worker.done
    await provider.close()
  }
}

function startWorker(ground: Ground, provider: FakeProvider, { concurrency }: Sizes, words: readonly string[]): Situ {
  const limits = ['--concurrency', String(concurrency), '--record-timeout-seconds', '3600', '--backoff-ms', '100']
  return new Situ(['run', '--yes', '--model', 'any', ...limits, ...words, ...ground.flags], {
    env: { OPENAI_BASE_URL: provider.url },
  })
}

/** Number of the record that a call is for: the document stands in each prompt. */
function numberOf({ messages }: ProviderRequest): number | null {
  const found = /This is record number (\d+) of the run/.exec(messages.map(({ content }) => content).join('\n'))
  return found ? Number(found[1]) : null
}

/** The finished sets of the slow operators beyond the oldest open record: the largest ever committed, and what is left. */
function readFinishedSets(ground: Ground): Promise<Pick<Worked, 'ranges' | 'rangesLeft' | 'recordBytes'>> {
  return withPipeline(ground, async ({ transport, serde, partitions: count }) => {
    const left = new Map<string, number>()
    let [ranges, recordBytes] = [0, 0]
    for (let partition = 0; partition < count; partition++) {
      for await (const { messages } of transport.read('task', partition, 0)) {
        for (const { value } of messages) {
          const { id, stage, positions } = await serde.decode('task', value)
          if (stage !== 'situate' && stage !== 'instruct') continue
          const own = Math.max(0, ...positions.map(({ finished }) => finished.length / 2))
          left.set(id, own)
          ranges = Math.max(ranges, own)
          recordBytes = Math.max(recordBytes, value?.length ?? 0)
        }
      }
    }
    return { ranges, recordBytes, rangesLeft: Math.max(0, ...left.values()) }
  })
}
