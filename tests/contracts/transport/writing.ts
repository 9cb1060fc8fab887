import { expect, it } from 'vitest'
import {
  expectError,
  keysOf,
  keysTo,
  makeTopic,
  numbered,
  outgoing,
  readAll,
  type TransportFixture,
  type TransportSuite,
  takeMessages,
  textOf,
  uniqueName,
} from './fixture.ts'

/** Values, atomicity, limits, topics, closing. */
export function testWriting(fixture: () => TransportFixture, { indexesKeys }: TransportSuite): void {
  it('keeps a message of 1 MB byte for byte', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const value = Buffer.alloc(1_000_000, 'situation ')
    value.fill(0xff, 10, 20)
    await transport.produce([outgoing(topic, 'large', { value })])
    const [message] = await readAll(transport, topic)
    expect(Buffer.compare(message?.value ?? Buffer.alloc(0), value)).toBe(0)
  })

  it('keeps keys of any script', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const keys = ['Übung', '数据', '😀🧪', 'ключ', 'a b\tc\nd', "'; DROP TABLE message; --", 'x'.repeat(2000)]
    await transport.produce(keys.map(key => outgoing(topic, key)))
    expect(keysOf(await readAll(transport, topic))).toEqual(keys)
    for (const key of keys) expect(textOf(await transport.get(topic, key))).toBe(key)
  })

  it('tells an empty value from a tombstone', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce([
      outgoing(topic, 'empty', { value: new Uint8Array(0) }),
      outgoing(topic, 'tombstone', { value: null }),
    ])
    const [empty, tombstone] = await readAll(transport, topic)
    expect(empty?.value).toHaveLength(0)
    expect(tombstone?.value).toBeNull()
  })

  it('restores a shared text byte for byte, wherever it lies in the value', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const shared = 'Die Prüfung war schwer. '.repeat(60)
    const values = ['', 'head '].flatMap(head => ['', ' tail'].map(tail => `${head}${shared}${tail}`))
    const excerpt = shared.slice(0, 900)
    await transport.produce([
      ...values.map((value, index) => outgoing(topic, `key-${index}`, { value: Buffer.from(value), shared })),
      outgoing(topic, 'excerpt', { value: Buffer.from(`<${excerpt}>`), shared: excerpt }),
      outgoing(topic, 'not in it', { value: Buffer.from('short'), shared }),
    ])
    expect((await readAll(transport, topic)).map(textOf)).toEqual([...values, `<${excerpt}>`, 'short'])
  })

  it('is done with the buffer of a value when it has written it', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const value = Buffer.from('first')
    await transport.produce([outgoing(topic, 'key', { value })])
    value.write('other')
    expect((await readAll(transport, topic)).map(textOf)).toEqual(['first'])
  })

  it('writes nothing of a batch with an error in its middle', async () => {
    const transport = await fixture().open()
    const [left, right] = [await makeTopic(transport), await makeTopic(transport, 2)]
    const unknown = uniqueName('unknown')
    const batch = [
      outgoing(left, 'one'),
      outgoing(right, 'two', { partition: 1 }),
      outgoing(unknown, 'three'),
      outgoing(left, 'four'),
    ]
    await expectError(() => transport.produce(batch), 'TOPIC_UNKNOWN', unknown)
    expect(await readAll(transport, left)).toEqual([])
    expect(await readAll(transport, right, { partition: 1 })).toEqual([])
  })

  it('writes the message that finish makes with the others, and nothing where finish throws', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const broken = transport.produce([outgoing(topic, 'lost')], () => {
      throw new RangeError('no record')
    })
    await expect(broken).rejects.toThrow('no record')
    await transport.produce(numbered(topic, 2), () => outgoing(topic, 'finished'))
    expect(keysOf(await readAll(transport, topic))).toEqual(['key-0', 'key-1', 'finished'])
  })

  it('refuses a message above the limit, and the whole batch with it', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const { maxMessageBytes } = transport.limits
    const value = new Uint8Array(maxMessageBytes)
    const batch = [outgoing(topic, 'small'), outgoing(topic, 'giant', { value })]
    await expectError(
      () => transport.produce(batch),
      'RECORD_TOO_LARGE',
      topic,
      'giant',
      maxMessageBytes + Buffer.byteLength('giant'),
      maxMessageBytes,
    )
    expect(await readAll(transport, topic)).toEqual([])
  })

  it('refuses more for one partition than a commit may hold', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const { maxMessageBytes, maxCommitBytes } = transport.limits
    const value = new Uint8Array(maxMessageBytes - 100)
    const batch = numbered(topic, Math.floor(maxCommitBytes / value.length) + 1, { value })
    await expectError(() => transport.produce(batch), 'RECORD_TOO_LARGE', topic, maxCommitBytes)
    expect(await readAll(transport, topic)).toEqual([])
  })

  it('makes topics once, and leaves those that are there as they are', async () => {
    const [transport, other] = [await fixture().open(), await fixture().open()]
    const name = uniqueName('topic')
    await transport.createTopics([{ name, partitions: 2, compacted: false }])
    await transport.produce([outgoing(name, 'kept', { partition: 1 })])
    await other.createTopics([{ name, partitions: 5, compacted: true }])
    const info = (await other.topics()).find(topic => topic.name === name)
    expect(info).toMatchObject({ partitions: 2, compacted: false })
    expect(keysOf(await readAll(other, name, { partition: 1 }))).toEqual(['kept'])
  })

  it('makes a topic that two processes want at the same time once', async () => {
    const [left, right] = [await fixture().open(), await fixture().open()]
    const specs = [{ name: uniqueName('topic'), partitions: 3, compacted: false }]
    await Promise.all([left.createTopics(specs), right.createTopics(specs)])
    const names = (await left.topics()).map(topic => topic.name)
    expect(names.filter(name => name === specs[0]?.name)).toHaveLength(1)
  })

  it('deletes a topic for all processes, leaves the others alone, and begins a new one of its name at offset 0', async () => {
    const [transport, other] = [await fixture().open(), await fixture().open()]
    const [gone, kept] = [await makeTopic(transport, 2), await makeTopic(transport)]
    await transport.produce([...numbered(gone, 3), outgoing(gone, 'right', { partition: 1 }), ...numbered(kept, 2)])
    expect(keysOf(await readAll(other, gone))).toEqual(keysTo(3))
    await transport.deleteTopics([gone, uniqueName('unknown')])
    for (const one of [transport, other]) {
      expect((await one.topics()).map(({ name }) => name)).not.toContain(gone)
      await expectError(() => one.bounds(gone, 0), 'TOPIC_UNKNOWN', gone)
      expect(keysOf(await readAll(one, kept))).toEqual(keysTo(2))
    }
    await transport.createTopics([{ name: gone, partitions: 1, compacted: false }])
    await other.produce([outgoing(gone, 'new'), outgoing(gone, 'newer')])
    for (const one of [transport, other]) {
      expect((await readAll(one, gone)).map(({ key, offset }) => [key, offset])).toEqual([
        ['new', 0],
        ['newer', 1],
      ])
      expect(await one.get(gone, 'key-0')).toBeNull()
    }
  })

  it.skipIf(!indexesKeys)('counts records and bytes of a topic, and knows its newest timestamp', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 2)
    const timestamp = 1_700_000_000_000
    await transport.produce([
      outgoing(topic, 'ab', { timestamp }),
      outgoing(topic, 'cde', { partition: 1, timestamp: timestamp + 5 }),
    ])
    const info = (await transport.topics()).find(({ name }) => name === topic)
    expect(info).toEqual({
      name: topic,
      partitions: 2,
      compacted: false,
      records: 2,
      written: 2,
      bytes: 10,
      newest: timestamp + 5,
    })
  })

  it('loses and doubles nothing where two processes write at once', async () => {
    const [left, right] = [await fixture().open(), await fixture().open()]
    const topic = await makeTopic(left)
    const write = async (transport: typeof left, name: string) => {
      for (const key of keysTo(40)) await transport.produce([outgoing(topic, `${name}-${key}`)])
    }
    await Promise.all([write(left, 'left'), write(right, 'right')])
    const keys = keysOf(await readAll(left, topic))
    for (const name of ['left', 'right']) {
      expect(keys.filter(key => key?.startsWith(name))).toEqual(keysTo(40).map(key => `${name}-${key}`))
    }
    expect(keys).toHaveLength(80)
  })

  it('closes twice, ends its readers, and then refuses every call', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 1))
    const follower = transport.read(topic, 0, 0, { follow: true })[Symbol.asyncIterator]()
    expect((await follower.next()).done).toBe(false)
    const waiting = follower.next()
    await transport.close()
    await transport.close()
    expect((await waiting).done).toBe(true)
    await expectError(() => transport.produce(numbered(topic, 1)), 'TRANSPORT_CLOSED')
    await expectError(() => transport.topics(), 'TRANSPORT_CLOSED')
    await expectError(() => takeMessages(transport.read(topic, 0, 0), 1), 'TRANSPORT_CLOSED')
    await expectError(() => transport.join([], () => {}), 'TRANSPORT_CLOSED')
  })

  it('finds everything again after it was closed and opened', async () => {
    const first = await fixture().open()
    const topic = await makeTopic(first)
    await first.produce(numbered(topic, 5))
    await first.close()
    const second = await fixture().open()
    expect(keysOf(await readAll(second, topic))).toEqual(keysTo(5))
  })
}
