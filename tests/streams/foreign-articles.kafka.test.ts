import { randomUUID } from 'node:crypto'
import { Type } from 'avsc'
import kafkajs, { Kafka, type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { schemas } from '../../schemas/records.ts'
import { contentId } from '../../streams/identity.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'
import { kafkaGround, until, withPipeline } from '../support/workers.ts'

const partitions = 4
const count = 30
const texts = Array.from({ length: count }, (_, number) =>
  `Report ${number} tells of river ${number * 7919} and of what was measured there on day ${number}. `.repeat(6).trim(),
)
let folder: string
let producer: Producer
const running: Situ[] = []
beforeAll(async () => {
  folder = temporaryFolder()
  const { brokers } = kafkaServices()
  const kafka = new Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING })
  // Idempotent: what a slow broker is sent again would be there twice, and counted.
  const createPartitioner = kafkajs.Partitioners.DefaultPartitioner
  producer = kafka.producer({ createPartitioner, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
})
afterAll(async () => {
  await producer.disconnect()
  removeFolder(folder)
})
afterEach(async () => {
  for (const process of running.splice(0)) {
    process.child.kill('SIGKILL')
    await process.done
  }
})

/** A prefix of its own, and the environment of commands with it. */
async function openGround() {
  const { brokers, registry } = kafkaServices()
  const prefix = uniquePrefix().slice(0, -1)
  const env = { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix }
  const options = { cwd: folder, env }
  await mustSitu(['topics', '--create', '--partitions', String(partitions)], options)
  const json = async (...words: string[]) => JSON.parse((await mustSitu([...words, '--json'], options)).stdout)
  return { prefix, options, json, ground: kafkaGround({ ...kafkaServices() } as never, prefix, partitions) }
}

/** The wire format of Confluent: a zero, the id of the schema in the registry, Avro. */
async function encoder(prefix: string, noun: 'page' | 'article') {
  const answer = await fetch(`${kafkaServices().registry}/subjects/${prefix}.${noun}-value/versions/latest`)
  const { id } = (await answer.json()) as { id: number }
  const type = Type.forSchema(schemas[noun] as Parameters<typeof Type.forSchema>[0])
  const header = Buffer.alloc(5)
  header.writeInt32BE(id, 1)
  return (record: object) => Buffer.concat([header, type.toBuffer(record)])
}

function articleOf(text: string): object {
  return { id: '', url: null, title: null, text, language: null, source: null, input: null }
}

describe('clean texts that a foreign producer writes to any partition', () => {
  it('are one document for each text, before a model is asked', { timeout: 240_000 }, async () => {
    const { prefix, options, json } = await openGround()
    const encode = await encoder(prefix, 'article')
    const messages = [0, 1, 2].flatMap(copy =>
      texts.map((text, number) => ({
        key: randomUUID(),
        partition: (number * 3 + copy) % partitions,
        value: encode(articleOf(text)),
      })),
    )
    await producer.send({ topic: `${prefix}.article`, messages })
    const work = ['run', '--model', 'stand-in']
    await Promise.all([mustSitu(work, options), mustSitu(work, options)])

    const { operators, conservation, notes } = await json('topics', '--verify')
    expect({ conservation, notes }).toEqual({
      conservation: 'ok',
      notes: [`ingest: ${3 * count} records are of other producers`],
    })
    expect(operators['dedupe-document']).toMatchObject({
      in: 3 * count,
      done: count,
      out: count,
      dropped: { repeat: 2 * count },
      lag: 0,
    })
    expect(operators.situate).toMatchObject({ in: count, done: count })

    const rows = (await mustSitu(['tap', 'deduped', '--json'], options)).stdout.trim().split('\n')
    const [first] = rows.map(row => JSON.parse(row))
    const { back } = await json('trace', first.key)
    expect(back.map(({ topic }: { topic: string }) => topic)).toEqual([
      'article',
      'document',
      'situation',
      'instruction',
    ])
    const [article, document] = back
    expect(texts.map(contentId)).toContain(article.id)
    expect(document.input).toMatchObject({ topic: 'article', id: article.id, offset: article.offset })
    // Its key is the producer's own, so the way to it is by what became of it.
    expect((await json('trace', article.id)).record).toMatchObject({ topic: 'article', id: article.id })

    await mustSitu(['replay', 'dedupe-document', '--variant', 'again'], options)
    const replayed = await json('topics', '--verify')
    expect(replayed.conservation).toBe('ok')
    expect(replayed.operators['dedupe-document.again']).toMatchObject({ in: 3 * count, done: count })
    await mustSitu(['variants', 'remove', 'again', '--yes'], options)
    expect((await json('topics', '--verify')).conservation).toBe('ok')
  })

  it('are sent on once, though workers are killed meanwhile', { timeout: 240_000 }, async () => {
    const { prefix, options, json, ground } = await openGround()
    const encode = await encoder(prefix, 'article')
    const many = 900
    await withPipeline(ground, async ({ transport }) => {
      const sentOn = async () => {
        const all = Array.from({ length: partitions }, (_, one) => transport.bounds('dedupe-document-in', one))
        return (await Promise.all(all)).reduce((total, { end }) => total + end, 0)
      }
      for (let first = 0; first < many; first += many / 3) {
        const before = await sentOn()
        const worker = new Situ(['run', 'dedupe-document', '--follow'], options)
        running.push(worker)
        const messages = Array.from({ length: (2 * many) / 3 }, (_, index) => ({
          key: randomUUID(),
          partition: index % partitions,
          value: encode(articleOf(`Text ${first + (index % (many / 3))} of many.`)),
        }))
        await producer.send({ topic: `${prefix}.article`, messages })
        await until(async () => (await sentOn()) > before, 60_000, 'inputs sent on')
        worker.child.kill('SIGKILL')
        await worker.done
      }
    })
    await mustSitu(['run', 'dedupe-document'], options)
    const { operators, conservation } = await json('topics', '--verify')
    expect(conservation).toBe('ok')
    expect(operators['dedupe-document']).toMatchObject({ in: 2 * many, done: many, dropped: { repeat: many } })
  })
})

describe('what ingest wrote', () => {
  it('is told from what others wrote, and must be counted', { timeout: 120_000 }, async () => {
    const { prefix, options, json } = await openGround()
    const input = texts.map(text => `${JSON.stringify({ text })}\n`).join('')
    await mustSitu(['ingest', '-'], { ...options, input })
    const encode = await encoder(prefix, 'page')
    const page = (content: string) => encode({ id: '', url: null, title: null, content, format: 'text', source: null })
    await producer.send({ topic: `${prefix}.page`, messages: [{ key: 'any', value: page('A page of another.') }] })
    expect(await json('topics', '--verify')).toMatchObject({
      conservation: 'ok',
      notes: ['ingest: 1 records are of other producers'],
    })
    const headers = { 'situ-parent': 'ingest-that-was-never-counted' }
    await producer.send({ topic: `${prefix}.page`, messages: [{ key: 'own', value: page('One page.'), headers }] })
    const { code, stdout } = await situ(['topics', '--verify', '--json'], options)
    expect(code).toBe(1)
    expect(JSON.parse(stdout).differences).toEqual(['ingest-that-was-never-counted: done 0 counted, 1 in the topics'])
  })
})

describe('topics --verify', () => {
  it('finds nothing wrong while records flow', { timeout: 240_000 }, async () => {
    const { prefix, options, ground } = await openGround()
    const encode = await encoder(prefix, 'article')
    const worker = new Situ(['run', '--follow', '--model', 'stand-in', '--stand-in-latency-ms', '20'], options)
    running.push(worker)
    let wrote = 0
    const verified = await withPipeline(ground, async pipeline => {
      const found: string[] = []
      const look = async () => {
        const survey = await pipeline.transport.survey('task')
        const status = await readStatus(pipeline, survey)
        const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
        found.push(...status.differences, ...differences)
        return status.operators['dedupe-instruction']
      }
      while (wrote < 160) {
        const messages = Array.from({ length: 20 }, (_, index) => ({
          key: randomUUID(),
          partition: index % partitions,
          value: encode(articleOf(`${texts[index % count]} ${wrote++}`)),
        }))
        await producer.send({ topic: `${prefix}.article`, messages })
        await look()
      }
      await until(async () => ((await look())?.in ?? 0) >= 160, 120_000, 'all worked')
      return found
    })
    expect(verified).toEqual([])
  })
})
