import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Flags, knownVariables, readConfig } from '../../../streams/config/config.ts'
import {
  kafkaOptions,
  kafkaSettings,
  registryConnection,
  topicSettings,
} from '../../../streams/config/kafka-settings.ts'
import { expectError } from '../../contracts/transport/fixture.ts'
import { removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** A certificate that signs itself, and its key. */
function certificate(name: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  const subject = ['-subj', `/CN=${name}`, '-days', '2']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  })
  return { cert, key }
}

const registry = 'http://127.0.0.1:8081'
const read = (flags: Flags, environment: NodeJS.ProcessEnv = {}) => readConfig(flags, environment)
const problemsOf = (flags: Flags, environment?: NodeJS.ProcessEnv) => read(flags, environment).problems

describe('settings of Kafka', () => {
  it('takes brokers with commas, repeated, from the environment and from the file', () => {
    const brokersOf = (flags: Flags, environment = {}) =>
      read({ registry, ...flags }, environment).config.settings.brokers
    expect(brokersOf({ brokers: ['one:9092,two:9093', '[::1]:9094'] })).toEqual(['one:9092', 'two:9093', '[::1]:9094'])
    expect(brokersOf({}, { SITU_BROKERS: 'one:9092, two:9093' })).toEqual(['one:9092', 'two:9093'])
    const config = file('brokers.yaml', `brokers: [one:9092, two:9093]\nregistry: ${registry}\n`)
    expect(brokersOf({ config })).toEqual(['one:9092', 'two:9093'])
    expect(brokersOf({ registry: undefined })).toEqual([])
  })

  it.each<[Flags, string]>([
    [{ brokers: ['one:9092'] }, '--brokers: needs --registry'],
    [{ registry }, '--registry: needs --brokers'],
    [{ brokers: ['one'], registry }, 'expected HOST:PORT'],
    [{ brokers: ['one:70000'], registry }, 'expected a port up to 65535'],
    [{ brokers: ['one:1'], registry: 'ftp://one' }, 'ftp://one'],
    [{ brokers: ['one:1'], registry, prefix: 'a b' }, '--prefix'],
    [{ brokers: ['one:1'], registry, saslMechanism: 'gssapi' }, 'scram-sha-512'],
    [{ brokers: ['one:1'], registry, certFile: 'x.pem' }, '--cert-file: needs --key-file'],
    [{ brokers: ['one:1'], registry, keyFile: 'x.pem' }, '--key-file: needs --cert-file'],
    [{ brokers: ['one:1'], registry, saslUser: 'me' }, '--sasl-user: needs --sasl-mechanism'],
    [{ brokers: ['one:1'], registry, saslMechanism: 'plain', saslUser: 'me' }, 'SITU_SASL_PASSWORD'],
    [{ brokers: ['one:1'], registry, registryUser: 'me' }, 'SITU_REGISTRY_PASSWORD'],
  ])('%j is refused with %s', (flags, told) => {
    expect(problemsOf(flags).join('\n')).toContain(told)
  })

  it('knows no groups: workers of one prefix share the work, and two groups would do it twice', async () => {
    const words = ['run', '--brokers', 'one:1', '--registry', registry, '--group', 'second']
    expect(await situ(words, { cwd: folder })).toMatchObject({ code: 2, stderr: expect.stringContaining('--group') })
    expect(problemsOf({}, { SITU_GROUP: 'second' }).join()).toContain('SITU_GROUP')
    expect(kafkaOptions(read({ brokers: ['one:1'], registry }).config.settings, {})).not.toHaveProperty('group')
  })

  it('names all that is missing at once', () => {
    const flags = { brokers: ['one:1'], saslMechanism: 'plain', keyFile: 'x.pem', registryUser: 'me' }
    expect(problemsOf(flags)).toHaveLength(5)
  })

  it('reads certificates and passwords from files, and passwords from the environment', () => {
    const textOf = (path: string) => readFileSync(path, 'utf8')
    const [ca, client] = [certificate('ca'), certificate('client')]
    const flags = {
      brokers: ['one:1'],
      registry,
      caFile: ca.cert,
      certFile: client.cert,
      keyFile: client.key,
      saslMechanism: 'scram-sha-512',
      saslUser: 'me',
      saslPasswordFile: file('password', 'one two \n'),
      registryUser: 'you',
    }
    const { config, problems } = read(flags, { SITU_REGISTRY_PASSWORD: 'three' })
    expect(problems).toEqual([])
    expect(kafkaOptions(config.settings, config.environment)).toEqual({
      brokers: ['one:1'],
      prefix: 'situ',
      topicSettings: expect.anything(),
      ssl: { ca: textOf(ca.cert), cert: textOf(client.cert), key: textOf(client.key) },
      sasl: { mechanism: 'scram-sha-512', username: 'me', password: 'one two ' },
    })
    expect(registryConnection(config.settings, config.environment)).toEqual({
      url: registry,
      auth: { username: 'you', password: 'three' },
      ca: textOf(ca.cert),
    })
  })

  it('talks neither TLS nor SASL unless told to', () => {
    const { config } = read({ brokers: ['one:1'], registry })
    expect(kafkaOptions(config.settings, {})).not.toMatchObject({ ssl: expect.anything() })
    expect(kafkaOptions(config.settings, {})).not.toHaveProperty('sasl')
    expect(kafkaOptions(read({ brokers: ['one:1'], registry, tls: true }).config.settings, {}).ssl).toBe(true)
  })

  it('names the flag and the file that can not be read, and an empty password', async () => {
    mkdirSync(join(folder, 'a-folder'))
    for (const path of [join(folder, 'nothing.pem'), join(folder, 'a-folder')]) {
      const { config } = read({ brokers: ['one:1'], registry, caFile: path })
      await expectError(async () => kafkaOptions(config.settings, {}), 'INPUT_UNREADABLE', '--ca-file', path)
    }
    const sasl = { brokers: ['one:1'], registry, saslMechanism: 'plain', saslUser: 'me' }
    const { config } = read({ ...sasl, saslPasswordFile: file('empty', '\n') })
    await expectError(async () => kafkaOptions(config.settings, {}), 'CONFIGURATION_INVALID', 'empty')
  })

  it('names the flag and the file that holds no certificate, or another key', async () => {
    const [own, other] = [certificate('own'), certificate('other')]
    const [empty, words] = [file('empty.pem', ''), file('words.pem', 'no certificate')]
    const locked = join(folder, 'locked.key')
    execFileSync('openssl', ['rsa', '-in', own.key, '-aes128', '-passout', 'pass:x', '-out', locked], {
      stdio: 'ignore',
    })
    for (const [flags, flag, path] of [
      [{ caFile: empty }, '--ca-file', empty],
      [{ caFile: own.key }, '--ca-file', own.key],
      [{ certFile: words, keyFile: own.key }, '--cert-file', words],
      [{ certFile: own.cert, keyFile: other.key }, '--key-file', other.key],
      [{ certFile: own.cert, keyFile: locked }, '--key-file', locked],
    ] as const) {
      const { config } = read({ brokers: ['one:1'], registry, ...flags })
      await expectError(async () => kafkaOptions(config.settings, {}), 'CONFIGURATION_INVALID', flag, path)
    }
    const { config } = read({ brokers: ['one:1'], registry, registryCaFile: words })
    await expectError(async () => registryConnection(config.settings, {}), 'CONFIGURATION_INVALID', words)
  })

  it('keeps records for ever unless retention is configured, and shares the bytes out to the partitions', () => {
    const plain = read({}).config.settings
    expect(topicSettings(plain)).toEqual({ replication: 1, retentionMs: -1, config: {} })
    const flags = { partitions: '4', retentionDays: '1.5', retentionBytes: '1000', replication: '3' }
    expect(topicSettings(read({ ...flags, maxMessageBytes: '4000000' }).config.settings)).toEqual({
      replication: 3,
      retentionMs: 129_600_000,
      maxMessageBytes: 4_000_000,
      config: { 'retention.bytes': '250' },
    })
  })
})

describe('passwords', () => {
  it('have a variable and a file, but neither flag nor key', () => {
    expect(Object.keys(kafkaSettings).filter(name => /password$/i.test(name))).toEqual([])
    expect(knownVariables()).toEqual(expect.arrayContaining(['SITU_SASL_PASSWORD', 'SITU_REGISTRY_PASSWORD']))
    const config = file('password.yaml', 'saslPassword: hunter2\n')
    const told = problemsOf({ config }).join('\n')
    expect(told).toContain('unknown key saslPassword')
    expect(told).not.toContain('hunter2')
  })

  it('are left out of the message where they stand in a URL that is refused', () => {
    const told = problemsOf({ brokers: ['one:1'], registry: 'http://me:hunter2@registry:8081' }).join('\n')
    expect(told).toContain('expected no user in the URL')
    expect(told).not.toContain('hunter2')
  })

  describe('are in no output of a command', () => {
    let server: Server | null = null
    afterEach(() => server?.close())

    it('check, run, topics', async () => {
      server = createServer((_request, response) => response.writeHead(401).end('{"error_code":401,"message":"no"}'))
      await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const env = {
        SITU_BROKERS: '127.0.0.1:1',
        SITU_REGISTRY: `http://127.0.0.1:${port}`,
        SITU_REGISTRY_USER: 'me',
        SITU_SASL_MECHANISM: 'plain',
        SITU_SASL_USER: 'me',
        SITU_SASL_PASSWORD: 'hunter2-of-the-broker',
        SITU_REGISTRY_PASSWORD: 'hunter2-of-the-registry',
        SITU_LOG_LEVEL: 'trace',
      }
      const runs = [['check', '--no-call', '--json'], ['run', 'extract'], ['topics']].map(words =>
        situ(words, { env, cwd: folder }),
      )
      for (const { code, stdout, stderr } of await Promise.all(runs)) {
        expect(code).toBe(1)
        expect(`${stdout}${stderr}`.length).toBeGreaterThan(20)
        for (const password of [env.SITU_SASL_PASSWORD, env.SITU_REGISTRY_PASSWORD]) {
          expect(`${stdout}${stderr}`).not.toContain(password)
          expect(`${stdout}${stderr}`).not.toContain(Buffer.from(`me:${password}`).toString('base64'))
        }
      }
    })
  })
})
