/** SIGTERM with calls in flight: no new call, a clean end in time, and nothing that was committed is called again. */
import { FakeProvider } from '../fake-provider.ts'
import { seeded } from '../support/documents.ts'
import { type FaultRun, isOnKafka, outcomeFigures, sizeOf, withFaultRun } from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { Situ } from '../support/situ.ts'
import { type Ground, idsOf, ingestDocuments, until } from '../support/workers.ts'

/** From a call that a worker begins to the provider. */
const deliveryMs = 100
const partitions = 4
/** Calls that the deadline cuts off are committed by nobody, but the others still are. */
const cutSeconds = 2

export async function run(options: ScriptOptions): Promise<void> {
  await withFaultRun({ kafka: isOnKafka(options) }, async run => {
    const seconds = sizeOf(options, 'drain', 0)
    // The first deadline is behind the slowest call, the second within the calls.
    const deadlines = seconds > 0 ? [seconds] : options.short ? [12] : [15, 4]
    const figures: Figure[] = []
    for (const deadline of deadlines) {
      const own = await drain(run, options, deadline)
      figures.push(...own.map(figure => ({ ...figure, name: `drain in ${deadline} s: ${figure.name}` })))
    }
    report('drain', figures, options)
  })
}

async function drain(run: FaultRun, options: ScriptOptions, drainSeconds: number): Promise<Figure[]> {
  const documents = sizeOf(options, 'documents', options.short ? 250 : 1_000)
  const inFlight = sizeOf(options, 'concurrency', 200)
  const [leastMs, mostMs] = [sizeOf(options, 'least', 1_000), sizeOf(options, 'most', options.short ? 5_000 : 10_000)]
  const random = seeded(sizeOf(options, 'seed', 1))
  const [clean, ground] = [run.cleanGround(`${drainSeconds}`), run.ground(`drain-${drainSeconds}-`, partitions)]
  for (const place of [clean, ground]) await ingestDocuments(place, run.folder, documents)

  let isSlow = false
  let answered = 0
  let began: number[] = []
  const provider = await FakeProvider.start(async () => {
    began.push(Date.now())
    if (isSlow) await new Promise(resolve => setTimeout(resolve, leastMs + (mostMs - leastMs) * random()))
    answered++
    return { kind: 'ok' }
  })
  const words = ['run', '--yes', '--model', 'any', '--log-level', 'debug']
  const work = (place: Ground, more: readonly string[]) =>
    new Situ([...words, ...more, ...place.flags], { env: { OPENAI_BASE_URL: provider.url } })
  try {
    await mustEnd(work(clean, []))
    const wanted = await idsOf(clean)
    const needed = began.length

    ;[isSlow, answered, began] = [true, 0, []]
    const each = String(inFlight / (run.isKafka ? partitions : 1))
    const first = work(ground, ['--follow', '--concurrency', each, '--drain-seconds', String(drainSeconds)])
    // Something is committed then, and as many as can be are under way.
    const isBusy = () => {
      if (first.child.exitCode !== null) throw new Error(`the worker ended: ${first.stderr.slice(-2_000)}`)
      return answered > inFlight / 4 && began.length - answered >= inFlight
    }
    await until(isBusy, 120_000, 'calls in flight')
    const open = began.length - answered
    const signalled = Date.now()
    let heard = Number.POSITIVE_INFINITY
    first.child.stderr?.on('data', (text: string) => {
      if (text.includes('"draining"')) heard = Date.now()
    })
    first.child.kill('SIGTERM')
    const { code, stderr } = await first.done
    const seconds = (Date.now() - heard) / 1000
    const [before = ''] = stderr.split('"draining"')
    const begunBefore = before.split('"model call"').length - 1
    const [calls, late] = [began.length, began.filter(time => time > heard + deliveryMs).length]
    const replies = answered
    const drained = await idsOf(ground)
    const committed = (drained.situation?.length ?? 0) + (drained.instruction?.length ?? 0)

    ;[isSlow, began] = [false, []]
    await mustEnd(work(ground, []))
    const again = began.length - (needed - committed)
    const isWhole = drainSeconds * 1000 > mostMs
    return [
      { name: 'documents', value: documents },
      { name: 'calls in flight at the signal', value: open, goal: { least: inFlight } },
      { name: 'from the signal to the beginning of the drain', value: (heard - signalled) / 1000, unit: 's' },
      // By the worker's own log: what it had begun may reach a busy provider later.
      { name: 'calls begun in the drain', value: Math.max(0, calls - begunBefore), goal: { most: 0 } },
      { name: 'calls that reached the provider in the drain', value: late },
      { name: 'exit code after the signal', value: code ?? -1, goal: { most: 0 } },
      {
        name: 'from the beginning of the drain to the end',
        value: seconds,
        unit: 's',
        goal: { most: drainSeconds + (isWhole ? 0 : cutSeconds) },
      },
      {
        name: 'calls whose outcome was not committed',
        value: calls - committed,
        // What the deadline has cut off, at most.
        goal: { most: isWhole ? 0 : open },
      },
      { name: 'calls made again for what was committed', value: Math.max(0, again), goal: { most: 0 } },
      // A reply that came too late for the commit is kept for the next start.
      { name: 'calls needed and not made', value: Math.max(0, -again), goal: { most: replies - committed } },
      ...(await outcomeFigures(ground, wanted)),
    ]
  } finally {
    await provider.close()
  }
}

async function mustEnd(work: Situ): Promise<void> {
  const { code, stderr } = await work.done
  if (code !== 0) throw new Error(`it ended with ${code}: ${stderr.slice(-2_000)}`)
}
