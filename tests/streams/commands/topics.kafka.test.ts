import kafkajs, { Kafka } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { schemas } from '../../../schemas/records.ts'
import { topicSpecs } from '../../../streams/chain/topology.ts'
import { ConfluentRegistry } from '../../../streams/registries/confluent.ts'
import { openKafka } from '../../../streams/transports/kafka/index.ts'
import { kafkaServices, uniquePrefix } from '../../support/kafka.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

const prefixOf = () => uniquePrefix().slice(0, -1)

function environment(prefix: string): Record<string, string> {
  const { brokers, registry } = kafkaServices()
  return { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix }
}

const names = topicSpecs(3).map(({ name }) => name)

describe('situ topics --create', () => {
  it('makes every topic as configured, and nothing the second time', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    const words = ['topics', '--create', '--json', '--partitions', '3', '--max-message-bytes', '3000000']
    const made = JSON.parse((await mustSitu([...words, '--retention-days', '30'], { env, cwd: folder })).stdout)
    expect(made).toEqual({ created: names, differences: [] })
    const again = JSON.parse((await mustSitu([...words, '--retention-days', '30'], { env, cwd: folder })).stdout)
    expect(again).toEqual({ created: [], differences: [] })
  })

  it('tells what differs, changes nothing, and exits 1', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    await mustSitu(['topics', '--create', '--partitions', '2'], { env, cwd: folder })
    const words = ['topics', '--create', '--partitions', '5', '--retention-days', '1', '--max-message-bytes', '99999']
    const { code, stdout } = await situ(words, { env, cwd: folder })
    expect(code).toBe(1)
    expect(stdout).toMatch(/partitions is 2, configured is 5: page, article/)
    expect(stdout).toMatch(/retention.ms is -1, configured is 86400000: page/)
    expect(stdout).toMatch(/max.message.bytes is \d+, configured is 99999: page/)
    const { differences } = JSON.parse(
      (await mustSitu(['topics', '--create', '--json', '--partitions', '2'], { env, cwd: folder })).stdout,
    )
    expect(differences).toEqual([])
  })

  it('makes a missing topic with the partitions of those that are there', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    await mustSitu(['topics', '--create', '--partitions', '2'], { env, cwd: folder })
    const transport = await openKafka({ brokers: kafkaServices().brokers, prefix })
    try {
      await transport.deleteTopics(['deduped'])
      await situ(['topics', '--create', '--partitions', '7'], { env, cwd: folder })
      expect(new Set((await transport.topics()).map(({ partitions }) => partitions))).toEqual(new Set([2]))
    } finally {
      await transport.close()
    }
  })

  it('refuses topics of which one has another number of partitions', async () => {
    const prefix = prefixOf()
    const transport = await openKafka({ brokers: kafkaServices().brokers, prefix })
    await transport.createTopics([{ name: 'page', partitions: 3, compacted: false }])
    await transport.createTopics([{ name: 'article', partitions: 2, compacted: false }])
    await transport.close()
    const { code, stderr } = await situ(['run', 'extract'], { env: environment(prefix), cwd: folder })
    expect([code, stderr]).toEqual([2, expect.stringMatching(/page 3|article 2/)])
  })

  it('makes nothing where a schema does not fit the one in the registry', async () => {
    const prefix = prefixOf()
    const subject = `${prefix}.page-value`
    const registry = new ConfluentRegistry({ url: kafkaServices().registry, auth: null, ca: null })
    const { fields, ...rest } = schemas.page as { fields: object[] }
    const other = { ...rest, fields: [...fields.slice(0, 1), { name: 'content', type: 'int' }] }
    await registry.register(subject, JSON.stringify(other))
    for (const words of [
      ['topics', '--create'],
      ['run', 'extract'],
    ]) {
      const { code, stderr } = await situ(words, { env: environment(prefix), cwd: folder })
      expect([code, stderr]).toEqual([1, expect.stringContaining('SCHEMA_INCOMPATIBLE')])
      expect(stderr).toContain(`subject ${subject}, level BACKWARD`)
      expect(stderr).toContain('field content')
    }
  })

  it('is asked for where there are no topics yet', async () => {
    const { code, stderr } = await situ(['topics'], { env: environment(prefixOf()), cwd: folder })
    expect([code, stderr]).toEqual([2, expect.stringContaining('situ topics --create')])
  })
})

describe('situ check on Kafka', () => {
  const check = async (env: Record<string, string>) => {
    const { code, stdout, stderr } = await situ(['check', '--no-call', '--json'], { env, cwd: folder })
    const found = JSON.parse(stdout) as { what: string; problem: string | null }[]
    const problems = found.filter(({ problem }) => problem !== null)
    return { code, problems: problems.map(({ what, problem }) => `${what}: ${problem}`), printed: stdout + stderr }
  }

  it('finds nothing wrong before and after the topics are made', async () => {
    const env = environment(prefixOf())
    expect(await check(env)).toMatchObject({ code: 0, problems: [] })
    await mustSitu(['topics', '--create', '--partitions', '3'], { env, cwd: folder })
    expect(await check(env)).toMatchObject({ code: 0, problems: [] })
  })

  it('tells of brokers and registry that do not answer, both at once', async () => {
    const env = { SITU_BROKERS: '127.0.0.1:1', SITU_REGISTRY: 'http://127.0.0.1:1' }
    const { code, problems } = await check(env)
    expect(code).toBe(1)
    expect(problems).toEqual([expect.stringMatching(/^brokers/), expect.stringMatching(/^registry.*ECONNREFUSED/)])
  })

  it('tells of a topic that is missing and of a schema that does not fit', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    await mustSitu(['topics', '--create'], { env, cwd: folder })
    const transport = await openKafka({ brokers: kafkaServices().brokers, prefix })
    await transport.deleteTopics(['deduped'])
    await transport.close()
    const { code, problems } = await check(env)
    expect(code).toBe(1)
    expect(problems).toEqual([expect.stringContaining('missing: deduped')])
  })

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    'logs in by %s over TLS, and refuses a wrong password',
    async mechanism => {
      const { sasl } = kafkaServices()
      if (!sasl) return
      const { username, password } = sasl.users.allowed
      const env = {
        ...environment(prefixOf()),
        SITU_BROKERS: sasl.brokers.join(','),
        SITU_CA_FILE: sasl.caFile,
        SITU_SASL_MECHANISM: mechanism,
        SITU_SASL_USER: username,
      }
      const [right, wrong] = await Promise.all([
        check({ ...env, SITU_SASL_PASSWORD: password }),
        check({ ...env, SITU_SASL_PASSWORD: 'hunter2-is-wrong', SITU_LOG_LEVEL: 'trace' }),
      ])
      expect(right).toMatchObject({ code: 0, problems: [] })
      expect(wrong.code).toBe(1)
      expect(wrong.problems).toEqual([expect.stringMatching(/^brokers/)])
      expect(wrong.printed).not.toContain('hunter2')
    },
  )

  it('tells of a user without rights', async () => {
    const { sasl } = kafkaServices()
    if (!sasl) return
    const { username, password } = sasl.users.denied
    const env = {
      ...environment(prefixOf()),
      SITU_BROKERS: sasl.brokers.join(','),
      SITU_CA_FILE: sasl.caFile,
      SITU_SASL_MECHANISM: 'scram-sha-512',
      SITU_SASL_USER: username,
      SITU_SASL_PASSWORD: password,
    }
    const { code, stderr } = await situ(['topics', '--create'], { env, cwd: folder })
    expect([code, stderr]).toEqual([1, expect.stringContaining('BROKER_UNAUTHORIZED')])
    expect(stderr).not.toContain(password)
  })

  it('takes a client certificate', async () => {
    const { sasl } = kafkaServices()
    if (!sasl) return
    const { brokers, certificateFile, keyFile } = sasl.mutualTls
    const env = {
      ...environment(prefixOf()),
      SITU_BROKERS: brokers.join(','),
      SITU_CA_FILE: sasl.caFile,
      SITU_CERT_FILE: certificateFile,
      SITU_KEY_FILE: keyFile,
    }
    expect(await check(env)).toMatchObject({ code: 0, problems: [] })
  })
})

describe('situ topics', () => {
  it('shows no lag for what no reader sees, once a run has read to the end', async () => {
    const prefix = prefixOf()
    const env = environment(prefix)
    const input = JSON.stringify({ text: 'The report tells of what was measured at the weir. '.repeat(8) })
    await mustSitu(['ingest', '-', '--as', 'article', '--partitions', '1'], { env, cwd: folder, input })
    const run = ['run', 'dedupe-document', '--json']
    await mustSitu(run, { env, cwd: folder })
    const kafka = new Kafka({ brokers: [...kafkaServices().brokers], logLevel: kafkajs.logLevel.NOTHING })
    const producer = kafka.producer({ transactionalId: `${prefix}.abort`, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic: `${prefix}.article`, messages: [{ key: 'a', value: 'never seen' }] })
    await transaction.abort()
    await producer.disconnect()
    const lag = async () => {
      const { stdout } = await mustSitu(['topics', '--json'], { env, cwd: folder })
      return JSON.parse(stdout).operators['dedupe-document'].lag
    }
    expect(await lag()).toBeGreaterThan(0)
    await mustSitu(run, { env, cwd: folder })
    expect(await lag()).toBe(0)
  })
})
