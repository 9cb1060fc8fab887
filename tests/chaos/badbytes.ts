/** Bytes that are no records, on every topic that an operator reads, and documents that are large for the broker. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import kafkajs, { Kafka, type Producer } from 'kafkajs'
import { operators } from '../../operators/index.ts'
import type { Failed } from '../../schemas/records.ts'
import { topicSpecs } from '../../streams/chain/topology.ts'
import { withoutTimerWarning } from '../../streams/transports/kafka/wire.ts'
import { generateDocuments, readDocuments, sentencesOf } from '../support/documents.ts'
import { type FaultRun, outcomeFigures, sizeOf, withFaultRun, workClean } from '../support/fault-run.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { mustSitu, situ } from '../support/situ.ts'
import { type Ground, groundOf, idsOf, ingestDocuments, untilDone, withPipeline } from '../support/workers.ts'

const documents = 40
const evidenceBytes = 256 * 1024
const largestBytes = 10_000_000

interface BadMessage {
  kind: string
  topic: string
  offset: number
  value: Buffer | null
  code: string
}

export async function run(options: ScriptOptions): Promise<void> {
  if (options.values.on === 'embedded') throw new Error('badbytes: foreign bytes come on Kafka only')
  await withFaultRun({ kafka: true }, async run => {
    report('badbytes', [...(await writeBad(run)), ...(await writeLarge(run, options))], options)
  })
}

/** Bad messages between good documents, under a worker that runs all the time; and then the next start. */
async function writeBad(run: FaultRun): Promise<Figure[]> {
  const clean = run.cleanGround()
  const plain = run.ground('bad')
  const ground = groundOf({ ...plain.config, 'max-message-bytes': String(largestBytes + 1_000_000) })
  await ingestDocuments(clean, run.folder, documents)
  const wanted = await workClean(clean)
  await ingestDocuments(ground, run.folder, documents / 2)
  const worker = run.start(ground, ['--follow'], 0)
  const producer = new Kafka({ brokers: [...run.services.brokers], logLevel: kafkajs.logLevel.NOTHING }).producer()
  try {
    await producer.connect()
    await untilDone(ground, 120_000)
    const written = await produceBad(producer, ground.config.prefix ?? '', await readSamples(ground))
    await ingestDocuments(ground, run.folder, documents)
    await untilDone(ground, 120_000)
    const isAlive = worker.isAlive
    await worker.end('SIGTERM')
    const { code, stderr } = await worker.done
    if (code !== 0) console.log(stderr.slice(-2_000))
    const next = await situ(['run', '--model', 'stand-in', ...ground.flags])
    if (next.code !== 0) console.log(next.stderr.slice(-2_000))
    const failed = await readFailed(ground)
    const read = written.filter(({ topic }) => readers.has(topic))
    const wrong = read.flatMap(message => wrongIn(message, failed))
    for (const line of wrong) console.log(line)
    const largest = written.reduce((most, { value }) => Math.max(most, value?.length ?? 0), 0)
    return [
      { name: 'bad messages', value: written.length },
      {
        name: 'topics with them',
        value: new Set(written.map(({ topic }) => topic)).size,
        goal: { least: topics.length },
      },
      { name: 'largest bad message', value: largest, unit: 'bytes', goal: { least: largestBytes } },
      { name: 'bad messages on topics that an operator reads', value: read.length, goal: { least: 6 * readers.size } },
      { name: 'dead letters', value: failed.length, goal: { most: read.length } },
      { name: 'bad messages without their dead letter', value: wrong.length, goal: { most: 0 } },
      { name: 'workers alive after them', value: Number(isAlive), goal: { least: 1 } },
      { name: 'exit code of the worker', value: code ?? -1, goal: { most: 0 } },
      { name: 'exit code of the next run', value: next.code ?? -1, goal: { most: 0 } },
      { name: 'good documents', value: documents },
      ...(await outcomeFigures(ground, wanted, withoutBad)),
    ]
  } finally {
    await producer.disconnect()
  }
}

/** The bad messages themselves lie in the topics too, under keys that tell. */
function withoutBad(ids: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(ids).map(([topic, list]) => [topic, list.filter(id => !/^bad /.test(id))]))
}

/** Optional ones are in no run that is not asked for them. */
const inEveryRun = Object.values(operators).filter(operator => !('optional' in operator && operator.optional))
const readers = new Set<string>(inEveryRun.map(({ from }) => from))
/** Every topic, those that only Situ itself reads too. */
const topics = topicSpecs(1).map(({ name }) => name)

/** A good message of each topic that has one. */
function readSamples(ground: Ground): Promise<Map<string, Buffer>> {
  return withPipeline(ground, async ({ transport, partitions }) => {
    const samples = new Map<string, Buffer>()
    for (const topic of topics) {
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { messages } of transport.read(topic, partition, 0)) {
          for (const { value } of messages) if (value) samples.set(topic, Buffer.from(value))
        }
      }
      if (readers.has(topic) && !samples.has(topic)) throw new Error(`${topic} holds no good message`)
    }
    return samples
  })
}

async function produceBad(
  producer: Producer,
  prefix: string,
  samples: ReadonlyMap<string, Buffer>,
): Promise<BadMessage[]> {
  const written: BadMessage[] = []
  const page = samples.get('page') ?? samples.get('article') ?? Buffer.alloc(0)
  const document = samples.get('document') ?? Buffer.alloc(0)
  for (const topic of topics) {
    const good = samples.get(topic) ?? page
    const unknown = Buffer.from(good)
    unknown.writeUInt32BE(999_999_999, 1)
    const cases: [kind: string, value: Buffer | null, code: string][] = [
      ['no magic byte', Buffer.from('{"text":"no Avro"}'), 'RECORD_INVALID'],
      ['unknown schema id', unknown, 'SCHEMA_UNKNOWN'],
      ['cut Avro', good.subarray(0, Math.floor(good.length / 2)), 'RECORD_INVALID'],
      ['a record of another type', topic === 'document' ? page : document, 'RECORD_INVALID'],
      ['null value', null, 'RECORD_INVALID'],
      ['large', Buffer.alloc(largestBytes, 0xff), 'RECORD_INVALID'],
    ]
    for (const [kind, value, code] of cases) {
      const message = { key: `bad ${kind}`, value, partition: 0 }
      const [sent] = await producer.send({ topic: `${prefix}.${topic}`, messages: [message] })
      written.push({ kind, topic, offset: Number(sent?.baseOffset), value, code })
    }
  }
  return written
}

function readFailed(ground: Ground): Promise<Failed[]> {
  return withPipeline(ground, async ({ transport, serde, partitions }) => {
    const failed: Failed[] = []
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { value } of transport.compacted('failed', partition)) {
        const letter = await serde.decodeOwn('failed', value)
        if (letter) failed.push(letter)
      }
    }
    return failed
  })
}

/** What is wrong with the dead letter of a bad message, in one line; none where nothing is. */
function wrongIn({ kind, topic, offset, value, code }: BadMessage, failed: readonly Failed[]): string[] {
  const letters = failed.filter(
    ({ place }) => place?.topic === topic && place.partition === 0 && place.offset === offset,
  )
  const what = `${topic}/0/${offset} (${kind}, ${value?.length ?? 0} bytes)`
  const [letter] = letters
  if (!letter || letters.length > 1) return [`${what}: ${letters.length} dead letters`]
  const reader = inEveryRun.find(({ from }) => from === topic)?.name
  if (letter.operator !== reader) return [`${what}: under ${letter.operator}, not ${reader}`]
  if (letter.code !== code) return [`${what}: ${letter.code}, not ${code}`]
  return value && !holdsBytes(letter, value) ? [`${what}: its bytes are not in the dead letter`] : []
}

/** Whole as the input or as evidence; above the limit their beginning, with size and hash. */
function holdsBytes({ value, evidence }: Failed, bytes: Buffer): boolean {
  if (bytes.length <= evidenceBytes && value?.equals(bytes)) return true
  const held = Buffer.from(evidence.text, evidence.base64 ? 'base64' : 'utf8')
  const isWhole = evidence.size === bytes.length && evidence.sha256 === createHash('sha256').update(bytes).digest('hex')
  return (
    isWhole && held.length > 0 && evidence.text.length <= evidenceBytes && held.equals(bytes.subarray(0, held.length))
  )
}

/** Documents of 100 KB and one of 3 MB, at the broker's default limits. */
async function writeLarge(run: FaultRun, options: ScriptOptions): Promise<Figure[]> {
  const count = sizeOf(options, 'large', options.short ? 20 : 200)
  const ground = run.ground('large')
  const sentences = sentencesOf(readDocuments(200))
  const textOf = (seed: number, bytes: number) => {
    const parts: string[] = []
    for (let size = 0, round = 0; size < bytes; round++) {
      for (const { text } of generateDocuments(20, sentences, seed * 1000 + round)) {
        parts.push(text)
        size += Buffer.byteLength(text) + 2
      }
    }
    return Buffer.from(parts.join('\n\n')).subarray(0, bytes).toString('utf8').trimEnd()
  }
  const texts = Array.from({ length: count + 1 }, (_, seed) => textOf(seed + 1, seed === 0 ? 3_000_000 : 100_000))
  const input = join(run.folder, 'large.jsonl')
  const lines = texts.map((text, number) => JSON.stringify({ url: `https://example.org/large/${number}`, text }))
  writeFileSync(input, `${lines.join('\n')}\n`)
  // A document that does not fit is a dead letter, which ingest tells by its exit code.
  await situ(['ingest', input, ...ground.flags])
  await mustSitu(['run', '--model', 'stand-in', ...ground.flags])
  const failed = await readFailed(ground)
  for (const { code, operator, message } of failed) console.log(`${operator}: ${code} ${message.slice(0, 200)}`)
  const tooLarge = failed.filter(({ code }) => code === 'RECORD_TOO_LARGE').length
  const ids = await idsOf(ground)
  const results = (ids.deduped?.length ?? 0) + (ids.dropped?.length ?? 0)
  const verified = await situ(['topics', '--verify', ...ground.flags])
  return [
    { name: 'large documents', value: count + 1 },
    { name: 'large documents that ended as results or drops', value: results },
    { name: 'large documents that were too large', value: tooLarge },
    { name: 'large documents that ended otherwise', value: failed.length - tooLarge, goal: { most: 0 } },
    { name: 'large documents with an end', value: results + failed.length, goal: { least: count + 1 } },
    { name: 'exit code of topics --verify after them', value: verified.code ?? -1, goal: { most: 0 } },
  ]
}

// This script has a kafkajs producer of its own, which sets timers of negative times too.
process.emitWarning = withoutTimerWarning(process.emitWarning)
