import { readFileSync } from 'node:fs'
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { startServices } from './index.ts'

const { brokers, registry, sasl, way } = kafkaServices()
const prefix = uniquePrefix()

function client(config: Partial<KafkaConfig> = {}): Kafka {
  return new Kafka({
    clientId: 'situ-services-test',
    brokers,
    logLevel: logLevel.NOTHING,
    retry: { retries: 2 },
    ...config,
  })
}

describe('brokers', () => {
  const topic = `${prefix}page`
  const admin = client().admin()

  beforeAll(async () => {
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
  })

  afterAll(async () => {
    await admin.deleteTopics({ topics: [topic] })
    await admin.disconnect()
  })

  it('show a committed transaction, and nothing of an aborted one, to readers of committed records', async () => {
    const producer = client().producer({
      transactionalId: `${prefix}task`,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { initialRetryTime: 20, retries: 20 },
    })
    await producer.connect()
    for (const value of ['aborted', 'committed']) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ key: 'a', value, partition: 1 }] })
      await (value === 'committed' ? transaction.commit() : transaction.abort())
    }
    await producer.disconnect()
    expect(await readFirst()).toBe('committed')
  })

  async function readFirst(): Promise<string | undefined> {
    const consumer = client().consumer({ groupId: `${prefix}group`, readUncommitted: false })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const first = new Promise<string | undefined>(resolve => {
      void consumer.run({ eachMessage: async ({ message }) => resolve(message.value?.toString()) })
    })
    const value = await first
    await consumer.disconnect()
    return value
  }

  it('make no topic of a name that was only asked for', async () => {
    const producer = client({ retry: { retries: 0 } }).producer()
    await producer.connect()
    await expect(
      producer.send({ topic: `${prefix}misspelled`, messages: [{ key: 'a', value: 'b', partition: 0 }] }),
    ).rejects.toThrow(/does not host this topic-partition/)
    await producer.disconnect()
  })
})

describe('the schema registry', () => {
  const schema = (fields: object[]) =>
    JSON.stringify({ type: 'record', name: 'Page', namespace: prefix.slice(0, 4), fields })
  const id = { name: 'id', type: 'string' }

  it('hands out by id and by subject what was registered, and refuses what old readers could not read', async () => {
    const client = new SchemaRegistry({ host: registry })
    const subject = `${prefix}page-value`
    const registered = await client.register({ type: SchemaType.AVRO, schema: schema([id]) }, { subject })
    expect(await client.getLatestSchemaId(subject)).toBe(registered.id)
    const encoded = await client.encode(registered.id, { id: 'x' })
    expect(await new SchemaRegistry({ host: registry }).decode(encoded)).toEqual({ id: 'x' })
    const other = schema([id, { name: 'url', type: 'string' }])
    await expect(client.register({ type: SchemaType.AVRO, schema: other }, { subject })).rejects.toThrow(
      /incompatible/i,
    )
  })
})

describe.skipIf(sasl === null)('listeners that ask who it is', () => {
  const secure = sasl as NonNullable<typeof sasl>
  const tls = () => ({ ca: [readFileSync(secure.caFile)] })
  const names = (config: Partial<KafkaConfig>) => use(client({ ...config, retry: { retries: 0 } }))

  async function use(kafka: Kafka): Promise<string[]> {
    const admin = kafka.admin()
    try {
      await admin.connect()
      return await admin.listTopics()
    } finally {
      await admin.disconnect()
    }
  }

  const as = (mechanism: string, user: { username: string; password: string }): Partial<KafkaConfig> => ({
    brokers: secure.brokers,
    ssl: tls(),
    sasl: { mechanism, ...user } as SASLOptions,
  })

  it.each(secure?.mechanisms ?? [])('take the right password and refuse a wrong one (%s)', async mechanism => {
    const { allowed } = secure.users
    expect(await names(as(mechanism, allowed))).toBeInstanceOf(Array)
    await expect(names(as(mechanism, { ...allowed, password: 'wrong' }))).rejects.toThrow(/authentication/i)
  })

  it('let a user without rights sign in, and make no topic', async () => {
    const admin = client({ ...as('plain', secure.users.denied), retry: { retries: 0 } }).admin()
    await admin.connect()
    const create = admin.createTopics({ topics: [{ topic: `${prefix}denied`, numPartitions: 1 }] })
    await expect(create).rejects.toMatchObject({ errors: [{ type: 'TOPIC_AUTHORIZATION_FAILED' }] })
    await admin.disconnect()
  })

  it('take a client certificate, and refuse who has none', async () => {
    const { brokers, certificateFile, keyFile } = secure.mutualTls
    const cert = readFileSync(certificateFile)
    const key = readFileSync(keyFile)
    expect(await names({ brokers, ssl: { ...tls(), cert, key } })).toBeInstanceOf(Array)
    await expect(names({ brokers, ssl: tls() })).rejects.toThrow()
  })
})

it.skipIf(way === 'environment')(
  'a broker of our own comes back after kill -9 with its data, at its address',
  async () => {
    const services = await startServices({ registry: false, own: true })
    try {
      const admin = client({ brokers: services.brokers, retry: { retries: 10 } }).admin()
      await admin.connect()
      await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1 }], waitForLeaders: true })
      await admin.disconnect()
      await services.killBroker(1, 'SIGKILL')
      expect(services.pids()).toEqual([])
      await services.restartBroker(1)
      await admin.connect()
      expect(await admin.listTopics()).toContain('kept')
      await admin.disconnect()
    } finally {
      await services.stop()
    }
    expect(services.pids()).toEqual([])
  },
  120_000,
)
