import { expect, it } from 'vitest'
import {
  claimTask,
  collect,
  expectError,
  keysOf,
  keysTo,
  makeCompactedTopic,
  makeTask,
  makeTopic,
  numbered,
  outgoing,
  readAll,
  type TransportFixture,
  type TransportSuite,
  takeMessages,
  taskRecord,
  textOf,
  uniqueName,
} from './fixture.ts'

/** Compaction, tombstones, and the ways to a message by key or parent. */
export function testKeys(fixture: () => TransportFixture, { indexesKeys }: TransportSuite): void {
  const value = (text: string) => ({ value: Buffer.from(text) })

  it('gets the newest message with a key', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 3)
    await transport.produce([outgoing(topic, 'key', value('old')), outgoing(topic, 'other', { partition: 2 })])
    await transport.produce([outgoing(topic, 'key', value('new'))])
    expect(textOf(await transport.get(topic, 'key'))).toBe('new')
    expect(await transport.get(topic, 'other')).toMatchObject({ topic, partition: 2, key: 'other' })
    expect(await transport.get(topic, 'unknown')).toBeNull()
  })

  it('gives the newest message of each key of a compacted topic', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce([outgoing(topic, 'a', value('1')), outgoing(topic, 'b', value('1'))])
    await transport.produce([outgoing(topic, 'a', value('2')), outgoing(topic, 'a', value('3'))])
    const messages = await collect(transport.compacted(topic))
    expect(Object.fromEntries(messages.map(message => [message.key, textOf(message)]))).toEqual({ a: '3', b: '1' })
    expect(messages).toHaveLength(2)
  })

  it('gives the newest messages of one partition, where it is asked for one', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport, 2)
    await transport.produce([outgoing(topic, 'zero'), outgoing(topic, 'one', { partition: 1 })])
    expect(keysOf(await collect(transport.compacted(topic, 1)))).toEqual(['one'])
    expect(keysOf(await collect(transport.compacted(topic))).sort()).toEqual(['one', 'zero'])
  })

  it('knows no newest messages of a topic that is not compacted', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    await expectError(() => collect(transport.compacted(topic)), 'OPERATOR_BUG', topic)
    await expectError(() => transport.survey(topic), 'OPERATOR_BUG', topic)
  })

  it('deletes a key by a tombstone, which its followers see', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce([outgoing(topic, 'kept'), outgoing(topic, 'deleted')])
    const { end } = await transport.bounds(topic, 0)
    const following = takeMessages(transport.read(topic, 0, end, { follow: true }), 1)
    await transport.produce([outgoing(topic, 'deleted', { value: null })])
    expect(await following).toMatchObject([{ key: 'deleted', value: null }])
    expect(await transport.get(topic, 'deleted')).toBeNull()
    expect(keysOf(await collect(transport.compacted(topic)))).toEqual(['kept'])
    await transport.produce([outgoing(topic, 'deleted', value('back'))])
    expect(textOf(await transport.get(topic, 'deleted'))).toBe('back')
    expect(keysOf(await collect(transport.compacted(topic))).sort()).toEqual(['deleted', 'kept'])
  })

  it.skipIf(!indexesKeys)('counts the living keys of a compacted topic, and all that was written', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce([outgoing(topic, 'a'), outgoing(topic, 'b'), outgoing(topic, 'a')])
    await transport.produce([outgoing(topic, 'b', { value: null }), outgoing(topic, 'none', { value: null })])
    const info = (await transport.topics()).find(({ name }) => name === topic)
    expect(info).toMatchObject({ records: 1, written: 5, compacted: true })
  })

  it('reads a compacted topic to its end, over the gaps', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport)
    for (let round = 0; round < 5; round++) await transport.produce(numbered(topic, 10))
    let next = 0
    for await (const batch of transport.read(topic, 0, 0, { maxMessages: 3 })) next = batch.next
    expect(next).toBe((await transport.bounds(topic, 0)).end)
    const newest = new Map((await readAll(transport, topic)).map(({ key, offset }) => [key, offset]))
    expect([...newest.keys()].sort()).toEqual(keysTo(10))
  })

  it('finds the children of a record, in the order of their offsets', async () => {
    const transport = await fixture().open()
    const [topic, other] = [await makeTopic(transport), await makeTopic(transport)]
    const parent = uniqueName('parent')
    await transport.produce([
      outgoing(topic, 'first', { parent }),
      outgoing(topic, 'stranger', { parent: 'someone' }),
      outgoing(topic, 'orphan'),
      outgoing(other, 'elsewhere', { parent }),
    ])
    await transport.produce([outgoing(topic, 'second', { parent })])
    expect(keysOf(await collect(transport.children(topic, parent)))).toEqual(['first', 'second'])
    expect(await collect(transport.children(topic, 'nobody'))).toEqual([])
  })

  it.skipIf(!indexesKeys)('leaves a message out where the topic holds its key, and counts it', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport, 2)
    const ifAbsent = true
    expect(await transport.produce([outgoing(topic, 'a', { ifAbsent, partition: 1 })])).toBe(0)
    const there = await transport.produce([outgoing(topic, 'a', { ifAbsent }), outgoing(topic, 'b', { ifAbsent })])
    expect(there).toBe(1)
    expect(keysOf(await readAll(transport, topic))).toEqual(['b'])
    expect(keysOf(await readAll(transport, topic, { partition: 1 }))).toEqual(['a'])
  })

  it.skipIf(!indexesKeys)('leaves repeats within one batch out, and tells finish how many', async () => {
    const transport = await fixture().open()
    const topic = await makeTopic(transport)
    const batch = ['a', 'b', 'a', 'a'].map(key => outgoing(topic, key, { ifAbsent: true }))
    const seen: number[] = []
    const finish = (alreadyThere: number) => {
      seen.push(alreadyThere)
      return outgoing(topic, `finish-${alreadyThere}`)
    }
    expect(await transport.produce(batch, finish)).toBe(2)
    expect(await transport.produce(batch, finish)).toBe(4)
    expect(seen).toEqual([2, 4])
    expect(keysOf(await readAll(transport, topic))).toEqual(['a', 'b', 'finish-2', 'finish-4'])
  })

  it.skipIf(!indexesKeys)('tells the finish of a commit how many messages were there already', async () => {
    const transport = await fixture().open()
    const [topic, tasks] = [await makeTopic(transport), await makeCompactedTopic(transport)]
    const task = makeTask(topic)
    const { claim } = await claimTask(transport, task)
    await transport.produce([outgoing(topic, 'a')])
    const batch = [outgoing(topic, 'a', { ifAbsent: true }), outgoing(topic, 'b', { ifAbsent: true })]
    await claim.commit(batch, there => taskRecord(tasks, task, { next: there, finished: [] }), [])
    expect(textOf(await transport.get(tasks, task.id))).toBe(JSON.stringify({ next: 1, finished: [] }))
  })

  it.skipIf(!indexesKeys)('takes each key once from two processes that bring the same', async () => {
    const [left, right] = [await fixture().open(), await fixture().open()]
    const topic = await makeTopic(left)
    const write = async (transport: typeof left) => {
      let there = 0
      for (const key of keysTo(60)) there += await transport.produce([outgoing(topic, key, { ifAbsent: true })])
      return there
    }
    const [leftThere, rightThere] = await Promise.all([write(left), write(right)])
    expect((leftThere ?? 0) + (rightThere ?? 0)).toBe(60)
    expect(keysOf(await readAll(left, topic))).toEqual(keysTo(60))
  })

  it.skipIf(!indexesKeys)('takes a key again after its tombstone', async () => {
    const transport = await fixture().open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce([outgoing(topic, 'a'), outgoing(topic, 'a', { value: null })])
    expect(await transport.produce([outgoing(topic, 'a', { ifAbsent: true })])).toBe(0)
    expect(textOf(await transport.get(topic, 'a'))).toBe('a')
  })

  it('surveys topics, bounds and the newest messages of a compacted topic', async () => {
    const transport = await fixture().open()
    const [topic, tasks] = [await makeTopic(transport, 2), await makeCompactedTopic(transport)]
    await transport.produce([outgoing(topic, 'a', { partition: 1 }), outgoing(tasks, 'task'), outgoing(tasks, 'task')])
    const { topics, bounds, messages } = await transport.survey(tasks)
    expect(topics.map(({ name }) => name)).toEqual(expect.arrayContaining([topic, tasks]))
    const { start, end } = await transport.bounds(topic, 1)
    expect(bounds).toContainEqual({ topic, partition: 1, start, end })
    expect(keysOf(messages)).toEqual(['task'])
    await expectError(() => transport.survey(uniqueName('unknown')), 'TOPIC_UNKNOWN')
  })
}
