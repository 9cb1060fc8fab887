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
  takeMessages,
  textOf,
  uniqueName,
} from './fixture.ts'

/** Order, ends, seeks, followers. */
export function testReading(fixture: () => TransportFixture): void {
  it('reads the messages of a partition in the order they were written', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 50))
    await transport.produce([outgoing(topic, 'last')])
    const messages = await readAll(transport, topic)
    expect(keysOf(messages)).toEqual([...keysTo(50), 'last'])
    const offsets = messages.map(message => message.offset)
    expect(offsets).toEqual([...new Set(offsets)].sort((left, right) => left - right))
  })

  it('gives back topic, partition, key, value, parent and timestamp', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 2)
    await transport.produce([outgoing(topic, 'key', { partition: 1, parent: 'parent', timestamp: 1_700_000_000_000 })])
    const [message] = await readAll(transport, topic, { partition: 1 })
    expect(message).toMatchObject({ topic, partition: 1, key: 'key', parent: 'parent', timestamp: 1_700_000_000_000 })
    expect(textOf(message)).toBe('key')
    const [orphan] = await transport.produce([outgoing(topic, 'orphan')]).then(() => readAll(transport, topic))
    expect(orphan?.parent).toBeNull()
  })

  it('keeps partitions apart, where there are many', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 24)
    const partitions = Array.from({ length: 24 }, (_, index) => index)
    await transport.produce(partitions.map(partition => outgoing(topic, `key-${partition}`, { partition })))
    for (const partition of partitions) {
      expect(keysOf(await readAll(transport, topic, { partition }))).toEqual([`key-${partition}`])
    }
  })

  it('reads an empty topic as nothing', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    expect(await readAll(transport, topic)).toEqual([])
    const { start, end } = await transport.bounds(topic, 0)
    expect(end).toBe(start)
    expect(await transport.offsetAt(topic, 0, 0)).toBe(end)
  })

  it('reads from an offset on', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 10))
    const all = await readAll(transport, topic)
    const from = all[6]?.offset ?? -1
    expect(keysOf(await readAll(transport, topic, { from }))).toEqual(keysTo(10).slice(6))
    expect(keysOf(await readAll(transport, topic, { from: from + 1 }))).toEqual(keysTo(10).slice(7))
  })

  it('reads from the start where the offset lies below it, and nothing from the end', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 3))
    expect(keysOf(await readAll(transport, topic, { from: -5 }))).toEqual(keysTo(3))
    const { end } = await transport.bounds(topic, 0)
    expect(await readAll(transport, topic, { from: end })).toEqual([])
  })

  it('finds the offset of a time', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const start = 1_700_000_000_000
    const messages = [0, 1000, 1000, 2000, 3000].map((after, index) => {
      return outgoing(topic, `key-${index}`, { timestamp: start + after })
    })
    await transport.produce(messages)
    const offsets = (await readAll(transport, topic)).map(message => message.offset)
    const { end } = await transport.bounds(topic, 0)
    expect(await transport.offsetAt(topic, 0, start - 1)).toBe(offsets[0])
    expect(await transport.offsetAt(topic, 0, start + 1000)).toBe(offsets[1])
    expect(await transport.offsetAt(topic, 0, start + 1001)).toBe(offsets[3])
    expect(await transport.offsetAt(topic, 0, start + 3001)).toBe(end)
  })

  it('tells the bounds of a partition', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 2)
    await transport.produce(numbered(topic, 3))
    const offsets = (await readAll(transport, topic)).map(message => message.offset)
    const { start, end } = await transport.bounds(topic, 0)
    expect(start).toBe(offsets[0])
    expect(end).toBeGreaterThan(offsets[2] ?? -1)
    const empty = await transport.bounds(topic, 1)
    expect(empty.end).toBe(empty.start)
  })

  it('gives batches of at most the wanted size, each with the place to go on', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 25))
    let last = -1
    const keys: (string | null)[] = []
    for await (const { messages, next } of transport.read(topic, 0, 0, { maxMessages: 10 })) {
      expect(messages.length).toBeLessThanOrEqual(10)
      expect(next).toBeGreaterThan(messages.at(-1)?.offset ?? last)
      keys.push(...keysOf(messages))
      last = next
    }
    expect(keys).toEqual(keysTo(25))
    expect(last).toBe((await transport.bounds(topic, 0)).end)
  })

  it('reads many pages', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    for (let round = 0; round < 5; round++) await transport.produce(numbered(topic, 500))
    expect(await readAll(transport, topic)).toHaveLength(2500)
  })

  it('ends at the end as it was at the call', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 4))
    const keys: (string | null)[] = []
    for await (const { messages } of transport.read(topic, 0, 0, { maxMessages: 1 })) {
      keys.push(...keysOf(messages))
      await transport.produce([outgoing(topic, 'later')])
    }
    expect(keys).toEqual(keysTo(4))
  })

  it('follows: a reader at the end gets what is written later', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce([outgoing(topic, 'before')])
    const keys: (string | null)[] = []
    for await (const { messages } of transport.read(topic, 0, 0, { follow: true })) {
      keys.push(...keysOf(messages))
      if (keys.length === 3) break
      await transport.produce([outgoing(topic, `after-${keys.length}`)])
    }
    expect(keys).toEqual(['before', 'after-1', 'after-2'])
  })

  it('wakes every follower at a write of another process', async () => {
    const [reader, writer] = [await fixture().open(), await fixture().open()]
    const topic = await makeTopic(reader, 2)
    const followers = [0, 0, 1].map(partition =>
      takeMessages(reader.read(topic, partition, 0, { follow: true }), 1).then(keysOf),
    )
    await writer.produce([outgoing(topic, 'zero'), outgoing(topic, 'one', { partition: 1 })])
    expect(await Promise.all(followers)).toEqual([['zero'], ['zero'], ['one']])
  })

  it('ends a follower that is aborted while it waits', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 1))
    const abort = new AbortController()
    const keys: (string | null)[] = []
    for await (const { messages } of transport.read(topic, 0, 0, { follow: true, signal: abort.signal })) {
      keys.push(...keysOf(messages))
      setImmediate(() => abort.abort())
    }
    expect(keys).toEqual(['key-0'])
  })

  it('ends a reader that is aborted in the middle', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 100))
    const abort = new AbortController()
    let batches = 0
    for await (const _ of transport.read(topic, 0, 0, { maxMessages: 10, signal: abort.signal })) {
      batches++
      abort.abort()
    }
    expect(batches).toBe(1)
    const none = transport.read(topic, 0, 0, { follow: true, signal: abort.signal })
    expect(await takeMessages(none, 1)).toEqual([])
  })

  it('reads each message once, in order, while another process writes', async () => {
    const [reader, writer] = [await fixture().open(), await fixture().open()]
    const topic = await makeTopic(reader)
    const reading = takeMessages(reader.read(topic, 0, 0, { follow: true, maxMessages: 7 }), 200)
    for (let round = 0; round < 20; round++) {
      await writer.produce(
        keysTo(200)
          .slice(round * 10, round * 10 + 10)
          .map(key => outgoing(topic, key)),
      )
    }
    expect(keysOf(await reading)).toEqual(keysTo(200))
  })

  it('names a topic or a partition that is not there', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const unknown = uniqueName('unknown')
    await expectError(() => readAll(transport, unknown), 'TOPIC_UNKNOWN', unknown)
    await expectError(() => transport.bounds(unknown, 0), 'TOPIC_UNKNOWN', unknown)
    await expectError(() => transport.offsetAt(unknown, 0, 0), 'TOPIC_UNKNOWN', unknown)
    await expectError(() => transport.get(unknown, 'key'), 'TOPIC_UNKNOWN', unknown)
    await expectError(() => readAll(transport, topic, { partition: 7 }), 'TOPIC_UNKNOWN', topic, 7)
    await expectError(() => transport.bounds(topic, 7), 'TOPIC_UNKNOWN', topic, 7)
  })
}
