import kafkajs, { type Admin, Kafka } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kafkaServices, uniquePrefix } from '../../support/kafka.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs
type Rights = Readonly<Record<string, readonly (keyof typeof AclOperationTypes)[]>>

let folder: string
let admin: Admin
beforeAll(async () => {
  folder = temporaryFolder()
  admin = new Kafka({ brokers: kafkaServices().brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
})
afterAll(async () => {
  await admin.disconnect()
  removeFolder(folder)
})

const prefixOf = () => uniquePrefix().slice(0, -1)
const environment = (prefix: string) => {
  const { brokers, registry } = kafkaServices()
  return { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix }
}

/** As a user who may nothing but what it is granted. */
function strangerOf(prefix: string, sasl: NonNullable<ReturnType<typeof kafkaServices>['sasl']>) {
  const { username, password } = sasl.users.denied
  const login = { SITU_SASL_MECHANISM: 'plain', SITU_SASL_USER: username, SITU_SASL_PASSWORD: password }
  return { ...environment(prefix), ...login, SITU_BROKERS: sasl.brokers.join(','), SITU_CA_FILE: sasl.caFile }
}

/** Grants rights on everything of one kind whose name begins with the prefix, or on one topic of this name. */
async function grant(prefix: string, principal: string, rights: Rights): Promise<void> {
  const types = {
    topic: AclResourceTypes.TOPIC,
    group: AclResourceTypes.GROUP,
    transactionalId: AclResourceTypes.TRANSACTIONAL_ID,
  }
  const acl = Object.entries(rights).flatMap(([kind, operations]) =>
    operations.map(operation => ({
      resourceType: types[kind as keyof typeof types],
      resourceName: prefix,
      resourcePatternType: ResourcePatternTypes.PREFIXED,
      principal: `User:${principal}`,
      host: '*',
      operation: AclOperationTypes[operation],
      permissionType: AclPermissionTypes.ALLOW,
    })),
  )
  await admin.createAcls({ acl })
}

async function check(env: Record<string, string>, ...words: string[]) {
  const { code, stdout } = await situ(['check', '--no-call', '--json', ...words], { env, cwd: folder })
  const found = JSON.parse(stdout) as { what: string; problem: string | null }[]
  const told = found.map(({ what, problem }) => (problem === null ? what : `${what}: ${problem}`))
  return { code, told, problems: told.filter((_, index) => found[index]?.problem !== null) }
}

const all: Rights = {
  topic: ['READ', 'WRITE', 'CREATE', 'DESCRIBE_CONFIGS'],
  group: ['READ'],
  transactionalId: ['WRITE'],
}

describe('situ check on Kafka', () => {
  it('tells the releases of brokers and registry', async () => {
    const { code, told } = await check(environment(prefixOf()))
    expect(code).toBe(0)
    expect(told).toContainEqual(expect.stringMatching(/^brokers .*: Kafka 4\.\d+ \(1\)$/))
    expect(told).toContainEqual(expect.stringMatching(/^registry http.*: .*Registry.* \d+\.\d+/))
  })

  it('names every topic, group and transactional id on which the user lacks a right, and the right', async context => {
    const { sasl } = kafkaServices()
    if (!sasl) return context.skip()
    const prefix = prefixOf()
    await mustSitu(['topics', '--create'], { env: environment(prefix), cwd: folder })
    const env = strangerOf(prefix, sasl)
    const { code, problems } = await check(env)
    expect(code).toBe(1)
    expect(problems).toEqual([
      expect.stringContaining(`lacks Read, Write, Describe, DescribeConfigs on topic ${prefix}.page, topic`),
      expect.stringContaining(`lacks Read on group ${prefix}.workers, group ${prefix}.main-extract`),
      expect.stringContaining(`lacks Write on transactional id ${prefix}.`),
      expect.stringContaining('settings are not seen'),
    ])
    await grant(prefix, sasl.users.denied.username, { ...all, topic: ['READ', 'DESCRIBE_CONFIGS'] })
    await expect
      .poll(async () => (await check(env)).problems, { timeout: 20_000 })
      .toEqual([expect.stringMatching(new RegExp(`^rights: the user lacks Write on topic ${prefix}\\.page, `))])
    await grant(prefix, sasl.users.denied.username, all)
    await expect.poll(async () => (await check(env)).problems, { timeout: 20_000 }).toEqual([])
  }, 90_000)

  it('lets a user work who has rights on topics, groups and transactional ids alone', async context => {
    const { sasl } = kafkaServices()
    if (!sasl) return context.skip()
    const prefix = prefixOf()
    await grant(prefix, sasl.users.denied.username, { ...all, group: [] })
    const env = strangerOf(prefix, sasl)
    await expect
      .poll(async () => (await situ(['topics', '--create'], { env, cwd: folder })).code, { timeout: 20_000 })
      .toBe(0)
    const lines = JSON.stringify({ url: 'https://example.org', text: 'The river was measured. '.repeat(40) })
    await mustSitu(['ingest', '-'], { env, cwd: folder, input: lines })
    // At once, and not after waiting for a broker that will never tell.
    const refused = await situ(['run', 'extract'], { env, cwd: folder })
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('BROKER_UNAUTHORIZED')])
    expect(refused.stderr).toContain(`group ${prefix}.workers`)
    await grant(prefix, sasl.users.denied.username, all)
    await expect
      .poll(async () => (await situ(['run', 'extract'], { env, cwd: folder })).code, { timeout: 20_000 })
      .toBe(0)
    const { topics, conservation } = JSON.parse((await mustSitu(['topics', '--json'], { env, cwd: folder })).stdout)
    expect(conservation).toBe('ok')
    // Sizes need a right on the cluster.
    expect(topics.page).toMatchObject({ records: 1, bytes: null, newest: expect.any(String) })
  }, 90_000)

  it('tells what differs, what is missing and why that can not be made, all at once', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    await mustSitu(['topics', '--create', '--retention-days', '30'], { env, cwd: folder })
    await admin.deleteTopics({ topics: [`${prefix}.deduped`] })
    const { code, problems } = await check(env, '--replication', '99')
    expect(code).toBe(1)
    expect(problems).toEqual([expect.stringContaining('missing: deduped')])
    expect(problems[0]).toContain('INVALID_REPLICATION_FACTOR')
    expect(problems[0]).toContain('replication is 1, configured is 99: page, article')
    expect(problems[0]).toMatch(/retention.ms is 2592000000, configured is -1: page/)
  })
})

it('situ check tells of topics that have been given more partitions than the others', async () => {
  const prefix = prefixOf()
  const env = environment(prefix)
  await mustSitu(['topics', '--create'], { env, cwd: folder })
  await admin.createPartitions({ topicPartitions: [{ topic: `${prefix}.page`, count: 3 }] })
  const { code, problems } = await check(env)
  expect(code).toBe(1)
  expect(problems).toEqual([expect.stringContaining('partitions is 3, configured is 1: page')])
})

describe('situ topics on Kafka', () => {
  it('shows bytes, newest and rates, a record of somebody else too', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    const text = 'The river was measured in spring. '.repeat(40)
    const lines = ['one', 'two', 'three'].map(word => JSON.stringify({ text: `${word}. ${text}` }))
    const before = Date.now()
    await mustSitu(['ingest', '-', '--partitions', '2'], { env, cwd: folder, input: lines.join('\n') })
    await mustSitu(['run', 'extract'], { env, cwd: folder })
    const status = async () => JSON.parse((await mustSitu(['topics', '--json'], { env, cwd: folder })).stdout)
    const first = await status()
    expect(first.operators.extract).toMatchObject({ in: 3, done: 3, lag: 0, taken: 2 })
    expect(first.operators.extract.commits).toBeGreaterThanOrEqual(3)
    expect(first.operators.extract.recordsPerSecond).toBeGreaterThan(0)
    expect(first.topics.page.bytes).toBeGreaterThan(300)
    expect(Date.parse(first.topics.page.newest)).toBeGreaterThanOrEqual(before)
    expect(first.topics.failed).toEqual({ records: 0, bytes: 0, newest: null })
    expect(first.topics.prompt.records).toBeNull()
    const time = Date.now() + 3_600_000
    const producer = new Kafka({ brokers: kafkaServices().brokers, logLevel: kafkajs.logLevel.NOTHING }).producer()
    await producer.connect()
    const messages = [{ key: 'any', value: 'no Avro', partition: 1, timestamp: String(time) }]
    await producer.send({ topic: `${prefix}.page`, messages })
    await producer.disconnect()
    const second = await status()
    expect(second.operators.extract).toMatchObject({ in: 3, lag: 1 })
    expect(second.topics.page).toMatchObject({ records: 4, newest: new Date(time).toISOString() })
    expect(second.topics.page.bytes).toBeGreaterThan(first.topics.page.bytes)
  }, 60_000)
})
