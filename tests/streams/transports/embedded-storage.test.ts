import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EmbeddedTransport } from '../../../streams/transports/embedded/index.ts'
import { claimTask, keysOf, keysTo, makeTask, numbered, outgoing, readAll } from '../../contracts/transport/fixture.ts'
import { DataFolder } from './data-folder.ts'

const nouns = ['page', 'article', 'document', 'situation', 'instruction']
const longAgo = 1_600_000_000_000

function count(transport: EmbeddedTransport, table: 'text' | 'message'): number {
  return Number(transport.database.statement(`SELECT count(*) AS n FROM ${table}`).get()?.n)
}

describe('embedded transport, what lies in the file', () => {
  let folder: DataFolder
  let transport: EmbeddedTransport
  beforeEach(async () => {
    folder = new DataFolder()
    transport = await folder.open({ now: () => longAgo })
    await transport.createTopics([
      ...nouns.map(name => ({ name, partitions: 1, compacted: false })),
      { name: 'state', partitions: 1, compacted: true },
    ])
  })
  afterEach(() => folder.remove())

  const text = (seed: number, length = 7600) => randomBytes(length).toString('latin1').slice(0, length) + seed

  it('stores a text once that several topics hold, and gives each its own bytes back', async () => {
    const shared = text(1)
    const values = nouns.map(noun => Buffer.from(`<${noun}>${shared}</${noun}>`))
    await transport.produce(
      nouns.map((topic, index) => outgoing(topic, 'key', { shared, value: values[index] ?? null })),
    )
    expect(count(transport, 'text')).toBe(1)
    for (const [index, topic] of nouns.entries()) {
      const [message] = await readAll(transport, topic)
      expect(Buffer.compare(message?.value ?? Buffer.alloc(0), values[index] ?? Buffer.alloc(0))).toBe(0)
    }
  })

  it('stores an excerpt that is the beginning of a stored text as a reference', async () => {
    const whole = text(1, 30_000)
    const excerpt = whole.slice(0, 16_000)
    await transport.produce([outgoing('document', 'd', { shared: whole, value: Buffer.from(whole) })])
    await transport.produce([outgoing('situation', 's', { shared: excerpt, value: Buffer.from(`[${excerpt}]`) })])
    expect(count(transport, 'text')).toBe(1)
    const [message] = await readAll(transport, 'situation')
    expect(Buffer.from(message?.value ?? []).toString()).toBe(`[${excerpt}]`)
  })

  it('stores a text apart that only begins like another one', async () => {
    const beginning = 'The same menu stands on each page. '.repeat(20)
    const texts = [1, 2, 3, 4, 5].map(number => `${beginning}${number} ends in its own way`)
    await transport.produce(
      texts.map((shared, index) => outgoing('document', `key-${index}`, { shared, value: Buffer.from(shared) })),
    )
    expect(count(transport, 'text')).toBe(5)
    const messages = await readAll(transport, 'document')
    expect(messages.map(({ value }) => Buffer.from(value ?? []).toString())).toEqual(texts)
  })

  it('finds a shared text in time in a value made to look like it everywhere', async () => {
    const shared = `${'a'.repeat(200_000)}b`
    const value = Buffer.from(`${'a'.repeat(400_000)}c${shared}`)
    await transport.produce([outgoing('document', 'key', { shared, value })])
    const [message] = await readAll(transport, 'document')
    expect(Buffer.compare(message?.value ?? Buffer.alloc(0), value)).toBe(0)
  })

  it('removes a text with the last message of a compacted topic that held it', async () => {
    const old = text(1)
    await transport.produce([outgoing('state', 'key', { shared: old, value: Buffer.from(old) })])
    await transport.produce([outgoing('state', 'key')])
    expect(count(transport, 'text')).toBe(0)
    expect(count(transport, 'message')).toBe(1)
  })

  it('reads a text that two messages of one key held in turn', async () => {
    const shared = text(1)
    const message = () => outgoing('state', 'key', { shared, value: Buffer.from(`<${shared}>`) })
    await transport.produce([message(), message(), message()])
    await transport.produce([message()])
    expect(Buffer.from((await transport.get('state', 'key'))?.value ?? []).toString()).toBe(`<${shared}>`)
    expect(count(transport, 'text')).toBe(1)
  })

  it('deletes messages by age, from the start of a topic on, but none that a task still needs', async () => {
    await transport.produce(numbered('page', 10, { timestamp: longAgo - 10_000 }))
    await transport.produce([outgoing('page', 'new')])
    await transport.produce(numbered('state', 3, { timestamp: longAgo - 10_000 }))
    const retention = { maxAgeMs: 5000, floor: () => 7 }
    expect(await transport.applyRetention(retention)).toBe(7)
    expect(await transport.bounds('page', 0)).toEqual({ start: 7, end: 11 })
    expect(keysOf(await readAll(transport, 'page', { from: 2 }))).toEqual(['key-7', 'key-8', 'key-9', 'new'])
    expect(await transport.applyRetention({ ...retention, floor: () => Number.POSITIVE_INFINITY })).toBe(3)
    expect(keysOf(await readAll(transport, 'page'))).toEqual(['new'])
    const info = (await transport.topics()).find(({ name }) => name === 'page')
    expect(info).toMatchObject({ records: 1, written: 11, bytes: 6 })
    expect(keysOf(await readAll(transport, 'state'))).toEqual(keysTo(3))
  })

  it('deletes the oldest messages of a topic that holds too many bytes, in steps', async () => {
    for (let round = 0; round < 3; round++) {
      await transport.produce(numbered('page', 500, { value: Buffer.alloc(93 - round) }))
    }
    const retention = { maxBytesPerTopic: 20_000, floor: () => Number.POSITIVE_INFINITY }
    const deleted = await transport.applyRetention(retention)
    const info = (await transport.topics()).find(({ name }) => name === 'page')
    expect(info?.records).toBe(1500 - deleted)
    expect(info?.bytes).toBeLessThanOrEqual(20_000)
    expect(info?.bytes).toBeGreaterThan(19_000)
    expect(await transport.applyRetention(retention)).toBe(0)
  })

  it('removes texts by retention only when no other topic holds them', async () => {
    const [both, one] = [text(1), text(2)]
    const message = (topic: string, key: string, shared: string, timestamp: number) =>
      outgoing(topic, key, { shared, value: Buffer.from(shared), timestamp })
    await transport.produce([message('page', 'both', both, 1), message('page', 'one', one, 1)])
    await transport.produce([message('article', 'both', both, longAgo)])
    await transport.applyRetention({ maxAgeMs: 5000, floor: () => Number.POSITIVE_INFINITY })
    expect(count(transport, 'text')).toBe(1)
    expect(Buffer.from((await transport.get('article', 'both'))?.value ?? []).toString()).toBe(both)
  })

  it('gives the space of a deleted topic free, also where an earlier deletion died in the middle', async () => {
    const [shared, other] = [text(1), text(2)]
    await transport.produce(numbered('page', 1200))
    await transport.produce([
      outgoing('page', 'p', { shared, value: Buffer.from(shared) }),
      outgoing('article', 'a', { shared, value: Buffer.from(shared) }),
      outgoing('document', 'd', { shared: other, value: Buffer.from(other) }),
    ])
    // Out of the list, and not a message deleted yet.
    await transport.database.write(() => {
      transport.database
        .statement("UPDATE partition SET topic = 0 WHERE topic = (SELECT id FROM topic WHERE name = 'document')")
        .run()
      transport.database.statement("DELETE FROM topic WHERE name = 'document'").run()
    })
    await transport.deleteTopics(['page'])
    expect([count(transport, 'message'), count(transport, 'text')]).toEqual([1, 1])
    const [kept] = await readAll(transport, 'article')
    expect(Buffer.from(kept?.value ?? []).toString()).toBe(shared)
    await transport.createTopics([{ name: 'page', partitions: 1, compacted: false }])
    await transport.produce(numbered('page', 3))
    expect(keysOf(await readAll(transport, 'page'))).toEqual(keysTo(3))
  })

  it('tells a reader whose messages are all gone where to go on', async () => {
    await transport.produce(numbered('page', 10, { timestamp: 1 }))
    await transport.applyRetention({ maxAgeMs: 5000, floor: () => Number.POSITIVE_INFINITY })
    expect(await transport.bounds('page', 0)).toEqual({ start: 10, end: 10 })
    expect(await transport.offsetAt('page', 0, 0)).toBe(10)
    await transport.produce([outgoing('page', 'next')])
    expect(await readAll(transport, 'page', { from: 3 })).toMatchObject([{ offset: 10, key: 'next' }])
  })

  it('keeps the write-ahead log short while somebody follows', async () => {
    const abort = new AbortController()
    const reader = await folder.open({ readOnly: true, create: false })
    const following = (async () => {
      let bytes = 0
      for await (const { messages } of reader.read('page', 0, 0, { follow: true, signal: abort.signal })) {
        for (const { value } of messages) bytes += value?.length ?? 0
      }
      return bytes
    })()
    for (let round = 0; round < 40; round++) {
      await transport.produce([outgoing('page', `key-${round}`, { value: randomBytes(1_000_000) })])
    }
    expect(statSync(`${transport.database.path}-wal`).size).toBeLessThan(20_000_000)
    abort.abort()
    await following
  })

  it('claims tasks whose names are no file names', async () => {
    const long = { ...makeTask('page'), id: `../../etc/passwd ${'ü'.repeat(300)}` }
    for (const task of [{ ...makeTask('page'), id: '../escape' }, { ...makeTask('page'), id: '..' }, long]) {
      const { claim } = await claimTask(transport, task)
      expect(claim.epoch).toBe(1)
    }
  })
})
