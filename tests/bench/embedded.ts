/**
 * Speed and space of the embedded transport. Prints messages/s for commit and read, lookups, and the bytes on the disk
 * per byte of document text for a chain of seven topics.
 *
 * node tests/bench/embedded.ts [DOCUMENTS, default 3000]
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedTransport, openEmbedded } from '../../streams/transports/embedded/index.ts'
import type { OutgoingMessage } from '../../streams/transports/transport.ts'

const documents = Number(process.argv[2] ?? 3000)
const folder = mkdtempSync(join(tmpdir(), 'situ-bench-'))
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

function report(what: string, value: number, unit: string): void {
  process.stdout.write(`${what.padEnd(44)} ${value.toLocaleString('en', { maximumFractionDigits: 3 })} ${unit}\n`)
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

function quantile(values: number[], share: number): number {
  return values.sort((left, right) => left - right)[Math.floor(share * (values.length - 1))] ?? 0
}

async function wakeUps(transport: EmbeddedTransport): Promise<number[]> {
  const other = await openEmbedded(folder, { create: false, readOnly: true })
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

async function bench(): Promise<void> {
  let transport = await openEmbedded(folder, { create: true })
  await transport.createTopics(
    topics.map(name => ({ name, partitions: 1, compacted: name === 'signature' || name === 'task' })),
  )
  let textBytes = 0
  const chains = Array.from({ length: 100 }, (_, index) => index)
  const seconds = await timed(async () => {
    for (let start = 0; start < documents; start += chains.length) {
      const all = chains.flatMap(index => {
        const text = writer.text(index % 20 === 0 ? 24_000 : 6750)
        textBytes += Buffer.byteLength(text)
        return chainOf(start + index, text)
      })
      for (const topic of topics) {
        const messages = all.filter(message => message.topic === topic)
        if (messages.length > 0) await transport.produce(messages)
      }
    }
  })
  report('documents', documents, `of ${Math.round(textBytes / documents)} bytes`)
  report('chain of 7 messages, made and committed', documents / seconds, 'documents/s')
  await transport.close()
  report('disk bytes per byte of text', statSync(join(folder, 'situ.db')).size / textBytes, '')
  transport = await openEmbedded(folder, { create: true })
  report('read page (shared text)', await readSpeed(transport, 'page'), 'messages/s')
  report('read deduped', await readSpeed(transport, 'deduped'), 'messages/s')
  report('commit small, ifAbsent, batches of 100', await commitSmall(transport, 100, 20_000), 'messages/s')
  report('commit small, ifAbsent, batches of 1', await commitSmall(transport, 1, 3000), 'messages/s')
  report('read small', await readSpeed(transport, 'small'), 'messages/s')
  const lookups = 500
  const got = await timed(async () => {
    for (let index = 0; index < lookups; index++) await transport.get('document', idOf(index % documents, 'document'))
  })
  report('get by key', (1000 * got) / lookups, 'ms')
  const found = await timed(async () => {
    for (let index = 0; index < lookups; index++) {
      for await (const _ of transport.children('situation', idOf(index % documents, 'document')));
    }
  })
  report('children of a record', (1000 * found) / lookups, 'ms')
  report('topics()', 1000 * (await timed(async () => void (await transport.topics()))), 'ms')
  const delays = await wakeUps(transport)
  report('wake-up of another connection, median', quantile(delays, 0.5), 'ms')
  report('wake-up of another connection, longest', quantile(delays, 1), 'ms')
  await transport.close()
  report('peak memory', process.resourceUsage().maxRSS / 1024, 'MB')
}

try {
  await bench()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
