/** One record whose calls hang and one whose calls always fail: the others go on as if they were not there. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FakeProvider, type ProviderRequest } from '../fake-provider.ts'
import { type Services, startServices } from '../services/index.ts'
import { readDocuments } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'
import { folderGround, type Ground, kafkaGround, progressOf, until, withPipeline } from '../support/workers.ts'

const hangingNumber = 3
const failingNumber = 5

interface Sizes {
  documents: number
  concurrency: number
  latencyMs: number
}

export async function run(options: ScriptOptions): Promise<void> {
  const sizes = {
    documents: Number(options.values.documents ?? (options.short ? 300 : 2_000)),
    concurrency: Number(options.values.concurrency ?? 200),
    latencyMs: Number(options.values.latency ?? 50),
  }
  const folder = temporaryFolder()
  const isKafka = options.values.on === 'kafka'
  const services = isKafka ? await startServices({ brokers: 1, registry: true, own: true }) : null
  try {
    const input = join(folder, 'documents.jsonl')
    const lines = readDocuments(sizes.documents).map(({ text, ...document }, number) =>
      JSON.stringify({ ...document, text: `This is record number ${number} of the run.\n\n${text}` }),
    )
    writeFileSync(input, `${lines.join('\n')}\n`)
    report('stuck', await measure(sizes, options, folder, input, services), options)
  } finally {
    await services?.stop()
    removeFolder(folder)
  }
}

async function measure(
  sizes: Sizes,
  { short }: ScriptOptions,
  folder: string,
  input: string,
  services: Services | null,
): Promise<Figure[]> {
  const groundOf = (name: string) =>
    services ? kafkaGround(services, `${name}${process.pid}`) : folderGround(join(folder, name))
  const [warm, plain, stuck] = [groundOf('warm'), groundOf('plain'), groundOf('stuck')]
  for (const { flags } of [warm, plain, stuck]) await mustSitu(['ingest', input, ...flags])
  // The endpoint is a part of this process and slow at first: the first run is not compared.
  await workUntilKilled(warm, sizes, false)
  const without = await workUntilKilled(plain, sizes, false)
  const beside = await workUntilKilled(stuck, sizes, true)
  const again = await workAgain(stuck, sizes)
  const verified = await situ(['topics', '--verify', ...stuck.flags])
  if (verified.code !== 0) console.log(verified.stdout, verified.stderr)
  const throughput = beside.perSecond / without.perSecond
  const memory = beside.megabytes / without.megabytes
  return [
    { name: 'documents', value: sizes.documents },
    { name: 'calls per second without them', value: without.perSecond },
    { name: 'calls per second beside them', value: beside.perSecond },
    { name: 'throughput against the run without them', value: throughput, ...(!short && { goal: { least: 0.95 } }) },
    { name: 'memory', value: beside.megabytes, unit: 'MB' },
    { name: 'memory against the run without them', value: memory, goal: { most: 1.3 } },
    { name: 'calls that hung', value: beside.hung, goal: { least: 1 } },
    { name: 'calls that failed', value: beside.failed, goal: { least: 2 } },
    { name: 'records waiting at the kill', value: beside.waiting, goal: { most: 1 } },
    // No more gaps can be between finished records than records are open.
    { name: 'ranges in the finished set, at most', value: beside.ranges, goal: { most: 2 * sizes.concurrency } },
    { name: 'ranges in the finished set at the kill', value: beside.rangesLeft, goal: { least: 1 } },
    { name: 'calls of finished records after the restart', value: again.others, goal: { most: 0 } },
    { name: 'calls of the hanging record after the restart', value: again.hanging, goal: { least: 1 } },
    { name: 'dead letters', value: again.deadLetters, goal: { most: 1 } },
    { name: 'exit code of the next run', value: again.code, goal: { most: 0 } },
    { name: 'exit code of topics --verify', value: verified.code ?? -1, goal: { most: 0 } },
  ]
}

/** Works everything that can be worked, then is killed; the calls tell the speed, without start and waits. */
async function workUntilKilled(ground: Ground, sizes: Sizes, isStuck: boolean) {
  const moments: number[] = []
  let [hung, failed, ranges, rangesLeft, waiting] = [0, 0, 0, 0, Number.POSITIVE_INFINITY]
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
    moments.push(Date.now())
    return { kind: 'ok', latencyMs: sizes.latencyMs }
  })
  const worker = startWorker(ground, provider, sizes, ['--follow'])
  try {
    await withPipeline(ground, async pipeline => {
      const isDone = async () => {
        if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.stderr.slice(-2_000)}`)
        rangesLeft = await countRanges(ground)
        ranges = Math.max(ranges, rangesLeft)
        waiting = (await progressOf(pipeline)).waiting
        return moments.length > 0 && waiting <= (isStuck ? 1 : 0)
      }
      await until(isDone, 600_000, 'the end of the work')
    })
    rangesLeft = await countRanges(ground)
  } finally {
    worker.child.kill('SIGKILL')
    await worker.done
    await provider.close()
  }
  const seconds = ((moments.at(-1) ?? 0) - (moments[0] ?? 0)) / 1000
  const { peakMegabytes: megabytes } = await worker.done
  return { perSecond: moments.length / seconds, megabytes, hung, failed, ranges, rangesLeft, waiting }
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
  return new Situ(['run', '--model', 'any', ...limits, ...words, ...ground.flags], {
    env: { OPENAI_BASE_URL: provider.url },
  })
}

/** Number of the record that a call is for: the document stands in each prompt. */
function numberOf({ messages }: ProviderRequest): number | null {
  const found = /This is record number (\d+) of the run/.exec(messages.map(({ content }) => content).join('\n'))
  return found ? Number(found[1]) : null
}

/** Ranges of finished offsets beyond the oldest open one, over the task records of the slow operators. */
function countRanges(ground: Ground): Promise<number> {
  return withPipeline(ground, async ({ transport, serde, partitions }) => {
    let most = 0
    for (const stage of ['situate', 'instruct']) {
      for (let partition = 0; partition < partitions; partition++) {
        const message = await transport.get('task', `main-${stage}-${partition}`)
        const { positions } = message ? await serde.decode('task', message.value) : { positions: [] }
        for (const { finished } of positions) most = Math.max(most, finished.length / 2)
      }
    }
    return most
  })
}
