/** The whole chain with the stand-in on real documents, then on ten times as many: does the cost of one grow? */
import { createWriteStream, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { generateDocuments, readDocuments, sentencesOf, type TestDocument } from '../support/documents.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'
import { type Finished, mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'

interface Measured {
  documents: number
  seconds: number
  cpuPerThousand: number
  peakMegabytes: number
  diskPerTextByte: number
  kept: number
  data: string
}

export async function run(options: ScriptOptions): Promise<void> {
  const small = Number(options.values.small ?? (options.short ? 100 : 3_000))
  const large = Number(options.values.large ?? (options.short ? 400 : 30_000))
  const folder = temporaryFolder()
  try {
    const pool = sentencesOf(readDocuments(3_000))
    const empty = join(folder, 'empty')
    await mustSitu(['ingest', '-', '--data', empty], { input: '' })
    const startUp = await mustSitu(['run', 'extract', '--data', empty])
    const real = await measure(folder, 'real', readDocuments(small), startUp)
    const few = await measure(folder, 'few', generateDocuments(small, pool, 1), startUp)
    const many = await measure(folder, 'many', generateDocuments(large, pool, 2), startUp)
    const indexBytes = ((many.peakMegabytes - few.peakMegabytes) * 1_048_576) / (many.documents - few.documents)
    const figures: Figure[] = [
      ...describe('real', real),
      { name: 'bytes on disk per byte of text, real', value: real.diskPerTextByte, goal: { most: 2 } },
      ...describe('few', few),
      ...describe('many', many),
      { name: 'bytes on disk per byte of text, many', value: many.diskPerTextByte, goal: { most: 2 } },
      { name: 'share kept by dedupe, many', value: many.kept, goal: { least: 0.9 } },
      { name: 'CPU a document, many / few', value: many.cpuPerThousand / few.cpuPerThousand, goal: { most: 1.5 } },
      // Over few records it is the heap that grows, not the index.
      {
        name: 'peak memory growth a record',
        value: indexBytes,
        unit: 'bytes',
        ...(!options.short && { goal: { most: 12_288 } }),
      },
      ...(await measureCommands(many.data, Math.floor(many.documents / 2), options.short ? 2 : 5)),
    ]
    report('chain', figures, options)
  } finally {
    removeFolder(folder)
  }
}

async function measure(folder: string, name: string, documents: TestDocument[], startUp: Finished): Promise<Measured> {
  const data = join(folder, name)
  const input = join(folder, `${name}.jsonl`)
  const file = createWriteStream(input)
  for (const document of documents) file.write(`${JSON.stringify(document)}\n`)
  file.end()
  await finished(file)
  const textBytes = documents.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
  await mustSitu(['ingest', input, '--data', data])
  const { seconds, cpuSeconds, peakMegabytes } = await mustSitu(['run', '--data', data, '--model', 'stand-in'])
  const disk = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
  const { stdout } = await mustSitu(['topics', '--json', '--data', data])
  const { topics } = JSON.parse(stdout) as { topics: Record<string, { records: number }> }
  const kept = (topics.deduped?.records ?? 0) / (topics.instruction?.records ?? 1)
  const cpuPerThousand = ((cpuSeconds - startUp.cpuSeconds) / documents.length) * 1000
  const diskPerTextByte = disk / textBytes
  return {
    documents: documents.length,
    seconds: seconds - startUp.seconds,
    cpuPerThousand,
    peakMegabytes,
    diskPerTextByte,
    kept,
    data,
  }
}

function describe(name: string, { documents, seconds, cpuPerThousand, peakMegabytes }: Measured): Figure[] {
  return [
    { name: `documents, ${name}`, value: documents },
    { name: `documents/s, ${name}`, value: documents / seconds },
    { name: `CPU seconds per 1,000 documents, ${name}`, value: cpuPerThousand },
    { name: `peak memory, ${name}`, value: peakMegabytes, unit: 'MB' },
  ]
}

/** Commands on the large log: their time must not grow with it. */
async function measureCommands(data: string, offset: number, rounds: number): Promise<Figure[]> {
  const idle = await mustSitu(['tap', 'prompt', '--limit', '1', '--data', data])
  const topics = await repeat(rounds, () => mustSitu(['topics', '--data', data]))
  const { stdout } = await mustSitu([
    'tap',
    'deduped',
    '--limit',
    '1',
    '--from',
    String(offset),
    '--fields',
    'value.id',
    '--data',
    data,
  ])
  const { value } = JSON.parse(stdout) as { value: { id: string } }
  const trace = await repeat(rounds, () => mustSitu(['trace', value.id, '--data', data]))
  const restart = await mustSitu(['run', '--data', data, '--model', 'stand-in'])
  return [
    { name: 'seconds of situ topics', value: topics, unit: 's', goal: { most: 2 } },
    { name: 'seconds of situ trace after start', value: trace - idle.seconds, unit: 's', goal: { most: 0.2 } },
    { name: 'seconds of a restart with nothing to do', value: restart.seconds, unit: 's', goal: { most: 5 } },
  ]
}

async function repeat(rounds: number, measureOne: () => Promise<Finished>): Promise<number> {
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) seconds.push((await measureOne()).seconds)
  return median(seconds)
}
