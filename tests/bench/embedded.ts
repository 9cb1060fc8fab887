/**
 * Speed and space of the embedded transport: messages/s for commit and read, lookups, wake-ups, and the bytes on the
 * disk per byte of document text for a chain of seven topics.
 *
 * npm run bench -- embedded [--documents=3000] [--short] [--check]
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedTransport, openEmbedded } from '../../streams/transports/embedded/index.ts'
import type { OutgoingMessage } from '../../streams/transports/transport.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'

const withText = ['page', 'article', 'document', 'situation', 'instruction']
const topics = [...withText, 'deduped', 'signature', 'task', 'small']

/** A text of words with the frequencies of a language: zstd takes it to about 0.4, as it does with web texts. */
class Writer {
  readonly #words = Array.from({ length: 4000 }, () => randomBytes(2 + Math.floor(Math.random() * 3)).toString('hex'))

  text(bytes: number): string {
    let text = ''
    while (text.length < bytes) text += `${this.#words[Math.floor(4000 * Math.random() ** 3)]} `
    return text
  }
}

const writer = new Writer()

function idOf(...parts: (string | number)[]): string {
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 32)
}

/** The seven records of one document; from the situation on with what a model would have written. */
function chainOf(index: number, text: string): OutgoingMessage[] {
  const generated = writer.text(1500)
  const excerpt = text.slice(0, 16_000)
  const provenance = `operator version model ${idOf('prompt')} ${idOf(index, 'messages')} ${idOf('snapshot')} `.repeat(
    3,
  )
  const bodies: Record<string, string> = {
    situation: `${excerpt}${generated}${provenance}`,
    instruction: `${excerpt}${generated}${writer.text(600)}${provenance}`,
    deduped: `${generated}${writer.text(600)}${provenance}`,
  }
  let parent: string | null = null
  return ['page', 'article', 'document', 'situation', 'instruction', 'deduped', 'signature'].map(topic => {
    const key = idOf(index, topic)
    const head = `${key} https://example.org/${idOf(index)} A title of the page `
    const value = topic === 'signature' ? randomBytes(128) : Buffer.from(head + (bodies[topic] ?? text))
    const shared = topic === 'situation' || topic === 'instruction' ? excerpt : text
    const message = { topic, partition: 0, key, value, parent, shared: withText.includes(topic) ? shared : null }
    parent = key
    return message
  })
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

async function commitSmall(transport: EmbeddedTransport, batch: number, count: number): Promise<number> {
  const seconds = await timed(async () => {
    for (let start = 0; start < count; start += batch) {
      const messages = Array.from({ length: batch }, (_, index) => {
        const key = idOf('small', batch, start + index)
        return { topic: 'small', partition: 0, key, value: Buffer.from(`${key} ${writer.text(200)}`), ifAbsent: true }
      })
      await transport.produce(messages, () => {
        return { topic: 'task', partition: 0, key: 'task', value: Buffer.from(`position ${start}`) }
      })
    }
  })
  return count / seconds
}

async function readSpeed(transport: EmbeddedTransport, topic: string): Promise<number> {
  let count = 0
  const seconds = await timed(async () => {
    for await (const { messages } of transport.read(topic, 0, 0)) count += messages.length
  })
  return count / seconds
}

/** Milliseconds from a write to the follower of another connection. */
async function wakeUps(transport: EmbeddedTransport): Promise<number[]> {
  const other = await openEmbedded(transport.database.folder, { create: false, readOnly: true })
  const delays: number[] = []
  const { end } = await transport.bounds('small', 0)
  const produce = (key: string) => transport.produce([{ topic: 'small', partition: 0, key, value: Buffer.from('x') }])
  let written = performance.now()
  await produce('wake 0')
  for await (const _ of other.read('small', 0, end, { follow: true })) {
    delays.push(performance.now() - written)
    if (delays.length > 30) break
    // At another moment of the poll each time, and after the reader waits.
    setTimeout(
      async () => {
        written = performance.now()
        await produce(`wake ${delays.length}`)
      },
      20 + Math.random() * 60,
    )
  }
  await other.close()
  return delays.slice(1)
}

/** @returns Bytes of document text. */
async function writeChain(transport: EmbeddedTransport, documents: number): Promise<number> {
  let textBytes = 0
  for (let start = 0; start < documents; start += 100) {
    const all = Array.from({ length: 100 }, (_, index) => {
      const text = writer.text(index % 20 === 0 ? 24_000 : 6750)
      textBytes += Buffer.byteLength(text)
      return chainOf(start + index, text)
    }).flat()
    for (const topic of topics) {
      const messages = all.filter(message => message.topic === topic)
      if (messages.length > 0) await transport.produce(messages)
    }
  }
  return textBytes
}

/** Milliseconds for one lookup by key, and for one by parent. */
async function lookUps(transport: EmbeddedTransport, documents: number): Promise<[get: number, children: number]> {
  const count = 500
  const got = await timed(async () => {
    for (let index = 0; index < count; index++) await transport.get('document', idOf(index % documents, 'document'))
  })
  const found = await timed(async () => {
    for (let index = 0; index < count; index++) {
      for await (const _ of transport.children('situation', idOf(index % documents, 'document')));
    }
  })
  return [(1000 * got) / count, (1000 * found) / count]
}

async function measure(folder: string, documents: number): Promise<Figure[]> {
  let transport = await openEmbedded(folder, { create: true })
  await transport.createTopics(
    topics.map(name => ({ name, partitions: 1, compacted: name === 'signature' || name === 'task' })),
  )
  let textBytes = 0
  const chainSeconds = await timed(async () => {
    textBytes = await writeChain(transport, documents)
  })
  await transport.close()
  const diskBytes = statSync(transport.database.path).size
  transport = await openEmbedded(folder, { create: true })
  const readPage = await readSpeed(transport, 'page')
  const readDeduped = await readSpeed(transport, 'deduped')
  const commit = await commitSmall(transport, 100, 20_000)
  const commitSingle = await commitSmall(transport, 1, 3000)
  const readSmall = await readSpeed(transport, 'small')
  const [get, children] = await lookUps(transport, documents)
  const topicsSeconds = await timed(async () => void (await transport.topics()))
  const delays = await wakeUps(transport)
  await transport.close()
  return [
    { name: 'documents', value: documents },
    { name: 'chain of 7 messages, made and committed', value: documents / chainSeconds, unit: 'documents/s' },
    { name: 'disk bytes per byte of text', value: diskBytes / textBytes, goal: { most: 2 } },
    { name: 'read page (shared text)', value: readPage, unit: 'messages/s' },
    { name: 'read deduped', value: readDeduped, unit: 'messages/s' },
    { name: 'commit small, ifAbsent, batches of 100', value: commit, unit: 'messages/s', goal: { least: 5000 } },
    { name: 'commit small, ifAbsent, one by one', value: commitSingle, unit: 'messages/s' },
    { name: 'read small', value: readSmall, unit: 'messages/s' },
    { name: 'get by key', value: get, unit: 'ms', goal: { most: 5 } },
    { name: 'children of a record', value: children, unit: 'ms', goal: { most: 5 } },
    { name: 'topics', value: 1000 * topicsSeconds, unit: 'ms' },
    { name: 'wake-up of another connection, median', value: median(delays), unit: 'ms' },
    { name: 'wake-up of another connection, longest', value: Math.max(...delays), unit: 'ms', goal: { most: 100 } },
    { name: 'peak memory', value: process.resourceUsage().maxRSS / 1024, unit: 'MB' },
  ]
}

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 500 : 3000))
  const folder = mkdtempSync(join(tmpdir(), 'situ-bench-'))
  try {
    report('embedded', await measure(folder, documents), options)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
