import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import kafkajs, { type Producer } from 'kafkajs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openKafka } from '../../../streams/transports/kafka/index.ts'
import {
  claimTask,
  expectError,
  keysOf,
  keysTo,
  makeCompactedTopic,
  makeTask,
  makeTopic,
  numbered,
  outgoing,
  readAll,
  takeMessages,
  taskRecord,
  textOf,
} from '../../contracts/transport/fixture.ts'
import { kafkaServices } from '../../support/kafka.ts'
import { KafkaFixture } from './kafka-fixture.ts'

const run = promisify(execFile)
let fixture: KafkaFixture
let producer: Producer | null = null
beforeEach(() => {
  fixture = new KafkaFixture()
})
afterEach(async () => {
  await producer?.disconnect()
  producer = null
  await fixture.close()
})

/** A producer of somebody else. */
async function foreign(options: Parameters<typeof fixture.kafka.producer>[0] = {}): Promise<Producer> {
  producer = fixture.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  return producer
}

describe('an open transaction of another writer', () => {
  it('never brings an earlier value back', async () => {
    const transport = await fixture.open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce([outgoing(topic, 'task', { value: Buffer.from('one') })])
    const options = { idempotent: true, maxInFlightRequests: 1, transactionalId: `${fixture.prefix}-dead` }
    const transaction = await (await foreign(options)).transaction()
    await transaction.send({ topic: `${fixture.prefix}.${topic}`, messages: [{ key: 'other', value: 'open' }] })
    await transport.produce([outgoing(topic, 'task', { value: Buffer.from('two') })])
    const other = await fixture.open()
    const newest = other.get(topic, 'task')
    // It gives up waiting after a while, and began later.
    expect(await other.bounds(topic, 0)).toEqual({ start: 0, end: 2 })
    await transaction.abort()
    expect(textOf(await newest)).toBe('two')
  })
})

describe('aborted transactions', () => {
  const settings = { idempotent: true, maxInFlightRequests: 1, transactionalId: 'foreign' }

  it('at the end of a partition are passed, by readers, followers and newest messages', async () => {
    const transport = await fixture.open()
    const topic = await makeCompactedTopic(transport)
    await transport.produce(numbered(topic, 10))
    const writer = await foreign({ ...settings, transactionalId: `${fixture.prefix}-a` })
    const transaction = await writer.transaction()
    const messages = [
      { key: 'key-3', value: 'aborted' },
      { key: 'new', value: 'aborted' },
    ]
    await transaction.send({ topic: `${fixture.prefix}.${topic}`, messages })
    await transaction.abort()
    let next = 0
    for await (const batch of transport.read(topic, 0, 0)) next = batch.next
    const { end } = await transport.bounds(topic, 0)
    expect([next, end]).toEqual([14, 14])
    expect(keysOf(await readAll(transport, topic))).toEqual(keysTo(10))
    expect(await transport.get(topic, 'new')).toBeNull()
    for await (const batch of transport.read(topic, 0, 10, { follow: true })) {
      expect(batch.messages).toEqual([])
      next = batch.next
      if (next === end) break
    }
    expect(next).toBe(14)
  })

  it('in the middle leave out nothing else, though a key looks like an abort', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    const writer = await foreign({ ...settings, transactionalId: `${fixture.prefix}-b` })
    const name = `${fixture.prefix}.${topic}`
    for (const [key, commits] of [
      ['one', true],
      ['\0\0\0\0', false],
      ['two', true],
      ['\0\0\0\0', true],
    ] as const) {
      const transaction = await writer.transaction()
      await transaction.send({
        topic: name,
        messages: [
          { key, value: key },
          { key: `${key}+`, value: key },
        ],
      })
      await (commits ? transaction.commit() : transaction.abort())
      await transport.produce([outgoing(topic, `between ${key}`)])
    }
    expect(keysOf(await readAll(transport, topic))).toEqual([
      'one',
      'one+',
      'between one',
      'between \0\0\0\0',
      'two',
      'two+',
      'between two',
      '\0\0\0\0',
      '\0\0\0\0+',
      'between \0\0\0\0',
    ])
  })

  it('that are still open hide what follows, and hold up the end for a moment only', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 2))
    const writer = await foreign({ ...settings, transactionalId: `${fixture.prefix}-c` })
    const transaction = await writer.transaction()
    await transaction.send({ topic: `${fixture.prefix}.${topic}`, messages: [{ key: 'open', value: '' }] })
    expect((await transport.bounds(topic, 0)).end).toBe(3)
    // A transport that takes 3 s counts as one that does not answer.
    const reading = takeMessages(transport.read(topic, 0, 3, { follow: true }), 1)
    await transaction.commit()
    expect(keysOf(await reading)).toEqual(['open'])
  })
})

describe('a log whose start has moved', () => {
  it('is read from its start by a reader, and stops a task whose position it has left behind', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 10))
    const admin = await fixture.admin()
    const name = `${fixture.prefix}.${topic}`
    await admin.fetchTopicOffsets(name)
    await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '4' }] })
    expect((await transport.bounds(topic, 0)).start).toBe(4)
    expect(keysOf(await readAll(transport, topic))).toEqual(keysTo(10).slice(4))
    const { claim } = await claimTask(transport, makeTask(topic))
    await expectError(() => takeMessages(claim.read(topic, 2, {}), 1), 'POSITION_LOST', topic, 2, 4)
    await expectError(() => takeMessages(claim.read(topic, 99, {}), 1), 'POSITION_LOST', topic, 99)
    expect(await takeMessages(claim.read(topic, 4, {}), 1)).toMatchObject([{ key: 'key-4' }])
  })
})

describe('group offsets', () => {
  it('are written with a commit, by stage, and never without one', async () => {
    const transport = await fixture.open()
    const [topic, tasks] = [await makeTopic(transport), await makeCompactedTopic(transport)]
    await transport.produce(numbered(topic, 10))
    const task = makeTask(topic)
    const { claim } = await claimTask(transport, task)
    await takeMessages(claim.read(topic, 0, {}), 10)
    const admin = await fixture.admin()
    const name = `${fixture.prefix}.${topic}`
    const groupId = `${fixture.prefix}.${task.id.replace(/-0$/, '')}`
    const offsetIn = async (group: string) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [name] })
      return found?.partitions[0]?.offset
    }
    expect(await offsetIn(groupId)).toBe('-1')
    await claim.commit([], () => taskRecord(tasks, task, { next: 7, finished: [] }), [{ topic, next: 7 }])
    await expect.poll(() => offsetIn(groupId)).toBe('7')
    expect(await offsetIn(fixture.groupId)).toBe('-1')
  })
})

describe('names on the brokers', () => {
  it('of a task are never those of a task of another prefix, though one prefix begins with the other', async () => {
    const [transport, longer] = [await fixture.open(), await fixture.open({ prefix: `${fixture.prefix}-x` })]
    const ways = [
      { transport, id: 'x-main-stage-0' },
      { transport: longer, id: 'main-stage-0' },
    ]
    const commits: (() => Promise<void>)[] = []
    for (const { transport, id } of ways) {
      const [topic, tasks] = [await makeTopic(transport), await makeCompactedTopic(transport)]
      const task = { ...makeTask(topic), id }
      const { claim } = await claimTask(transport, task)
      commits.push(() => claim.commit([], () => taskRecord(tasks, task, { next: 1, finished: [] }), []))
    }
    // The first one was claimed before the second: with one id for both it would be fenced.
    for (const commit of [...commits, ...commits]) await commit()
  })
})

describe('sizes', () => {
  it('takes a commit of many large records in one transaction, at the limits of a broker by default', async () => {
    const transport = await fixture.open({ topicSettings: {} })
    const [output, tasks] = [await makeTopic(transport), await makeCompactedTopic(transport)]
    const task = makeTask(output)
    const { claim } = await claimTask(transport, task)
    const batch = (count: number, bytes: number) =>
      Array.from({ length: count }, (_, index) => outgoing(output, `${bytes}-${index}`, { value: noise(bytes) }))
    const commit = (messages: ReturnType<typeof batch>) =>
      claim.commit(messages, () => taskRecord(tasks, task, { next: messages.length, finished: [] }), [])
    await commit(batch(20, 60_000))
    await commit(batch(10, 120_000))
    await commit(batch(1, 1_000_000))
    const found = await readAll(transport, output)
    expect(found.map(({ value }) => value?.length)).toEqual([
      ...Array.from({ length: 20 }, () => 60_000),
      ...Array.from({ length: 10 }, () => 120_000),
      1_000_000,
    ])
    await expectError(() => commit(batch(1, 1_048_588)), 'RECORD_TOO_LARGE', output, transport.limits.maxMessageBytes)
  })

  it('takes 30,000 records of a few bytes at once', async () => {
    const transport = await fixture.open({ topicSettings: {} })
    const topic = await makeTopic(transport)
    await transport.produce(numbered(topic, 30_000))
    expect(await readAll(transport, topic)).toHaveLength(30_000)
  })

  it('keeps to the smallest limit of the topics that are there', async () => {
    const small = await fixture.open({ topicSettings: { maxMessageBytes: 200_000 } })
    await makeTopic(small)
    const other = await fixture.open({ topicSettings: {} })
    expect(other.limits.maxMessageBytes).toBeLessThan(200_000)
    expect(other.limits).toEqual(small.limits)
  })
})

describe('messages of others', () => {
  it('are read without a key, with any header, and compressed with gzip', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    const writer = await foreign()
    const messages = [
      { key: null, value: 'no key', headers: { 'situ-parent': ['a', 'b'], other: Buffer.from([255]) } },
      { key: Buffer.from([0xff, 0xfe]), value: null },
    ]
    const compression = kafkajs.CompressionTypes.GZIP
    await writer.send({ topic: `${fixture.prefix}.${topic}`, messages, compression })
    const [first, second] = await readAll(transport, topic)
    expect(first).toMatchObject({ key: null, parent: 'a' })
    expect(Buffer.from(first?.value ?? []).toString()).toBe('no key')
    expect(second).toMatchObject({ value: null, parent: null })
  })

  it.each(['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed'])(
    'are read from a topic whose broker keeps them as %s',
    async codec => {
      const transport = await fixture.open({ topicSettings: { config: { 'compression.type': codec } } })
      const topic = await makeTopic(transport)
      await transport.produce(numbered(topic, 1000))
      await transport.produce([outgoing(topic, 'large', { value: randomBytes(400_000) })])
      const found = await readAll(transport, topic)
      expect(found.map(({ key }) => key)).toEqual([...keysTo(1000), 'large'])
      expect(found.at(-1)?.value).toHaveLength(400_000)
    },
  )

  it('need a key where they are ours', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    const keyless = { topic, partition: 0, value: null } as never
    await expectError(() => transport.produce([keyless]), 'OPERATOR_BUG', topic)
    await expectError(() => transport.produce([outgoing(topic, 'key', { partition: 3 })]), 'TOPIC_UNKNOWN', topic, 3)
  })
})

describe('a slow worker', () => {
  it('keeps its task longer than a session without reading, and then reads on', async () => {
    const transport = await fixture.open()
    const topic = await makeTopic(transport)
    const other = await fixture.open()
    const task = makeTask(topic)
    const { claim } = await claimTask(transport, task)
    await other.join([task], () => expect.unreachable('taken from a living worker'))
    await transport.produce(numbered(topic, 3))
    const reader = claim.read(topic, 0, { maxMessages: 1 })[Symbol.asyncIterator]()
    await reader.next()
    const before = transport.metrics.lastHeartbeat ?? Date.now()
    await expect.poll(() => (transport.metrics.lastHeartbeat ?? 0) - before, { timeout: 10_000 }).toBeGreaterThan(6500)
    expect(claim.lost.aborted).toBe(false)
    expect((await reader.next()).value.messages).toMatchObject([{ key: 'key-1' }])
    await reader.return?.()
  })
})

describe('topics', () => {
  it('tells how they differ from what is wanted, and changes nothing', async () => {
    const transport = await fixture.open({ topicSettings: { maxMessageBytes: 500_000, retentionMs: 60_000 } })
    const names = ['first', 'second', 'third']
    const specs = names.map(name => ({ name, partitions: 2, compacted: name === 'second' }))
    await transport.createTopics(specs.slice(0, 2))
    expect(await transport.topicDifferences(specs.slice(0, 2))).toEqual([])
    const other = await fixture.open({ topicSettings: { maxMessageBytes: 600_000, retentionMs: -1 } })
    const wanted = specs.map(spec => ({ ...spec, partitions: 3, compacted: false }))
    const differences = await other.topicDifferences(wanted)
    const listed = differences.map(
      ({ topic, setting, wanted, found }) => `${topic} ${setting}: ${found}, not ${wanted}`,
    )
    expect(listed.sort()).toEqual([
      'first max.message.bytes: 500000, not 600000',
      'first partitions: 2, not 3',
      'first retention.ms: 60000, not -1',
      'second cleanup.policy: compact, not delete',
      'second max.message.bytes: 500000, not 600000',
      'second partitions: 2, not 3',
      'second retention.ms: 604800000, not -1',
      'third exists: no, not yes',
    ])
    await other.createTopics(wanted.slice(0, 2))
    expect(await transport.topicDifferences(specs.slice(0, 2))).toEqual([])
  })

  it('says what the brokers have against a setting', async () => {
    const transport = await fixture.open({ topicSettings: { replication: 99 } })
    await expectError(() => makeTopic(transport), 'CONFIGURATION_INVALID', 'INVALID_REPLICATION_FACTOR')
    const other = await fixture.open({ topicSettings: { config: { 'no.such.setting': '1' } } })
    await expectError(() => makeTopic(other), 'CONFIGURATION_INVALID', 'no.such.setting')
  })
})

describe('opening', () => {
  const base = { prefix: 'none', connectTimeoutMs: 500 }

  it('names the brokers where none answers', async () => {
    await expectError(() => openKafka({ ...base, brokers: ['127.0.0.1:1'] }), 'BROKER_UNREACHABLE', '127.0.0.1:1')
  })

  it('does not wait for the end of an outage where the brokers want a login', async context => {
    const { sasl } = kafkaServices()
    if (!sasl) return context.skip()
    const ssl = { ca: readFileSync(sasl.caFile, 'utf8') }
    await expectError(
      () => openKafka({ ...base, brokers: sasl.brokers, ssl }),
      'BROKER_UNREACHABLE',
      String(sasl.brokers[0]),
    )
  })

  it('tells wrong passwords, untrusted certificates and missing rights from brokers that are down', async context => {
    const { sasl } = kafkaServices()
    if (!sasl) return context.skip()
    const { allowed, denied } = sasl.users
    const ssl = { ca: readFileSync(sasl.caFile, 'utf8') }
    const secure = { ...base, brokers: sasl.brokers, prefix: fixture.prefix, connectTimeoutMs: 5000 }
    const plain = (user: typeof allowed) => ({ mechanism: 'plain' as const, ...user })
    const wrong = { ...secure, ssl, sasl: plain({ ...allowed, password: 'wrong' }) }
    await expectError(() => openKafka(wrong), 'BROKER_AUTHENTICATION')
    await expectError(() => openKafka({ ...secure, ssl: true, sasl: plain(allowed) }), 'BROKER_AUTHENTICATION')
    const stranger = async () => {
      const transport = await openKafka({ ...secure, ssl, sasl: plain(denied) })
      try {
        await makeTopic(transport)
      } finally {
        await transport.close()
      }
    }
    await expectError(stranger, 'BROKER_UNAUTHORIZED')
    for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
      const transport = await openKafka({ ...secure, ssl, sasl: { mechanism, ...allowed } })
      const topic = await makeTopic(transport)
      await transport.produce(numbered(topic, 2))
      expect(keysOf(await readAll(transport, topic))).toEqual(keysTo(2))
      await transport.close()
    }
  })
})

describe('a process', () => {
  it('ends when its transport is closed, and has warned of nothing', async () => {
    const module = join(import.meta.dirname, '../../../streams/transports/kafka/index.ts')
    const options = { brokers: kafkaServices().brokers, prefix: fixture.prefix }
    const task = { id: 'group-main-stage-0', stage: 'stage', partition: 0, topics: ['topic'] }
    const script = `
      const { openKafka } = await import(${JSON.stringify(module)})
      const transport = await openKafka(${JSON.stringify(options)})
      await transport.createTopics([{ name: 'topic', partitions: 1, compacted: false }])
      await transport.join([${JSON.stringify(task)}], async claim => { for await (const _ of claim.read('topic', 0, {})); })
      await transport.produce([{ topic: 'topic', partition: 0, key: 'key', value: null }])
      await transport.close()
      console.log('closed')`
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script], {
      timeout: 20_000,
    })
    expect(stderr).toBe('')
    expect(stdout).toBe('closed\n')
  })
})

/** Bytes that no compression makes smaller. */
function noise(bytes: number): Uint8Array {
  return randomBytes(bytes)
}
