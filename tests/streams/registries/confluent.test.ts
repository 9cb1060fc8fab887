import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { messageOf } from '../../../schemas/errors.ts'
import { Serde } from '../../../schemas/serde.ts'
import { type ConfluentOptions, ConfluentRegistry } from '../../../streams/registries/confluent.ts'
import { expectError } from '../../contracts/transport/fixture.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const noteSchema = JSON.stringify({ type: 'record', name: 'note', fields: [{ name: 'text', type: 'string' }] })
const widerSchema = JSON.stringify({
  type: 'record',
  name: 'note',
  fields: [
    { name: 'text', type: 'string' },
    { name: 'language', type: 'string' },
  ],
})

type Answer = [status: number, body: unknown, headers?: Record<string, string>] | 'hang' | 'cut' | 'close'

/** A registry whose answers a test sets, by method and path. */
class FakeRegistry {
  readonly requests: string[] = []
  readonly headers: IncomingMessage['headers'][] = []
  answer: (request: string) => Answer = () => [404, { error_code: 40401, message: 'nothing' }]
  readonly #server: Server
  readonly #protocol: 'http' | 'https'

  constructor(tls?: { key: string; cert: string }) {
    this.#protocol = tls ? 'https' : 'http'
    const handle = (request: IncomingMessage, response: ServerResponse) => this.#handle(request, response)
    this.#server = tls ? createTlsServer(tls, handle) : createServer(handle)
  }

  async listen(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    const { port } = this.#server.address() as AddressInfo
    return `${this.#protocol}://127.0.0.1:${port}/path`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const name = `${request.method} ${request.url?.replace('/path/', '')}`
    this.requests.push(name)
    this.headers.push(request.headers)
    request.resume()
    const answer = this.answer(name)
    if (answer === 'hang') return
    if (answer === 'close') return void response.destroy()
    if (answer === 'cut') {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('{"schema":', () => response.destroy())
      return
    }
    const [status, body, headers = {}] = answer
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
}

describe('confluent registry', () => {
  let fake: FakeRegistry
  let url: string
  let now: number
  const open = (more: Partial<ConfluentOptions> = {}) =>
    new ConfluentRegistry({ url, auth: null, ca: null, timeoutMs: 2000, retryMs: 1, now: () => now, ...more })
  beforeEach(async () => {
    fake = new FakeRegistry()
    url = await fake.listen()
    now = 1_000_000
  })
  afterEach(() => fake.close())

  it('asks for a schema once, however many messages want it at the same time', async () => {
    fake.answer = () => [200, { schema: noteSchema }]
    const registry = open()
    await Promise.all(Array.from({ length: 20 }, () => registry.schema(7)))
    expect(await registry.schema(7)).toBe(noteSchema)
    expect(fake.requests).toEqual(['GET schemas/ids/7'])
  })

  it('remembers an id that is not there for 30 seconds', async () => {
    const registry = open()
    await Promise.all(Array.from({ length: 20 }, () => expectError(() => registry.schema(9), 'SCHEMA_UNKNOWN', 9)))
    now += 29_000
    await expectError(() => registry.schema(9), 'SCHEMA_UNKNOWN', 9)
    expect(fake.requests).toHaveLength(1)
    fake.answer = () => [200, { schema: noteSchema }]
    now += 1_000
    expect(await registry.schema(9)).toBe(noteSchema)
    expect(fake.requests).toHaveLength(2)
  })

  it('a message of an unknown schema id fails as SCHEMA_UNKNOWN, without a request each', async () => {
    const serde = new Serde(open())
    const value = Buffer.from([0, 0, 0, 0, 99, 1, 2, 3])
    for (let count = 0; count < 5; count++) await expectError(() => serde.decode('page', value), 'SCHEMA_UNKNOWN', 99)
    expect(fake.requests).toHaveLength(1)
  })

  it('a schema of another kind than Avro is SCHEMA_UNKNOWN', async () => {
    fake.answer = () => [200, { schema: 'syntax = "proto3";', schemaType: 'PROTOBUF' }]
    await expectError(() => open().schema(3), 'SCHEMA_UNKNOWN', 'PROTOBUF')
  })

  it('names subject, level and field of a change that does not fit, and sends nothing', async () => {
    fake.answer = request => {
      if (request === 'GET config/note-value') return [200, { compatibilityLevel: 'BACKWARD_TRANSITIVE' }]
      if (request.endsWith('/versions/latest')) return [200, { version: 4, id: 12, schema: noteSchema }]
      return [404, { error_code: 40401, message: 'nothing' }]
    }
    await expectError(
      () => open().register('note-value', widerSchema),
      'SCHEMA_INCOMPATIBLE',
      'note-value',
      'BACKWARD',
      'field language',
    )
    expect(fake.requests.filter(request => /PUT|versions$/.test(request))).toEqual([])
  })

  it('takes the no of the registry where it compares with more versions than the latest', async () => {
    fake.answer = request => {
      if (request.startsWith('GET config/')) return [200, { compatibilityLevel: 'FULL_TRANSITIVE' }]
      if (request.startsWith('POST compatibility/')) return [200, { is_compatible: false, messages: ['version 2: no'] }]
      if (request.endsWith('/versions/latest')) return [200, { version: 4, id: 12, schema: noteSchema }]
      return [404, { error_code: 40401, message: 'nothing' }]
    }
    const more = JSON.stringify({ ...JSON.parse(noteSchema), doc: 'More.' })
    await expectError(
      () => open().register('note-value', more),
      'SCHEMA_INCOMPATIBLE',
      'note-value',
      'FULL_TRANSITIVE',
      'version 2',
    )
  })

  it('takes the no of the registry at the registration itself', async () => {
    fake.answer = request =>
      request === 'POST subjects/note-value/versions'
        ? [409, { error_code: 409, message: 'rule violated' }]
        : request.includes('config')
          ? [200, { compatibilityLevel: 'BACKWARD' }]
          : [404, { error_code: 40401, message: 'nothing' }]
    await expectError(() => open().register('note-value', noteSchema), 'SCHEMA_INCOMPATIBLE', 'rule violated')
  })

  it('writes BACKWARD down before the first version where neither subject nor registry has a level', async () => {
    fake.answer = request => {
      if (request === 'GET config') return [200, { compatibilityLevel: 'NONE' }]
      if (request === 'PUT config/note-value') {
        const before = fake.answer
        fake.answer = next => (next.includes('config') ? [200, { compatibilityLevel: 'BACKWARD' }] : before(next))
        return [200, { compatibility: 'BACKWARD' }]
      }
      if (request === 'POST subjects/note-value/versions') return [200, { id: 5 }]
      return [404, { error_code: 40408, message: 'nothing' }]
    }
    expect(await open().register('note-value', noteSchema)).toBe(5)
    const changes = fake.requests.filter(request => /^PUT|\/versions$/.test(request))
    expect(changes).toEqual(['PUT config/note-value', 'POST subjects/note-value/versions'])
  })

  it('sends user and password with every request, and tells neither where they are refused', async () => {
    fake.answer = () => [401, { error_code: 401, message: 'who is there?' }]
    const auth = { username: 'situ', password: 'hunter2-of-the-registry' }
    for (const call of [
      (registry: ConfluentRegistry) => registry.schema(1),
      (registry: ConfluentRegistry) => registry.register('note-value', noteSchema),
      (registry: ConfluentRegistry) => registry.versions('note-value'),
      (registry: ConfluentRegistry) => registry.setLevel('note-value', 'FULL'),
    ]) {
      const error = await call(open({ auth })).catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' })
      expect(messageOf(error)).not.toContain('hunter2')
    }
    const wanted = `Basic ${Buffer.from('situ:hunter2-of-the-registry').toString('base64')}`
    expect(fake.headers.map(({ authorization }) => authorization)).toEqual(fake.headers.map(() => wanted))
  })

  it('sends user and password with the registration too', async () => {
    const auth = { username: 'situ', password: 'secret' }
    fake.answer = request =>
      request === 'POST subjects/note-value/versions'
        ? [403, { error_code: 40301, message: 'read only' }]
        : request.includes('config')
          ? [200, { compatibilityLevel: 'BACKWARD' }]
          : [404, { error_code: 40401, message: 'nothing' }]
    await expectError(() => open({ auth }).register('note-value', noteSchema), 'REGISTRY_UNAUTHORIZED', 'read only')
    const index = fake.requests.indexOf('POST subjects/note-value/versions')
    expect(fake.headers[index]?.authorization).toMatch(/^Basic /)
  })

  it('registers where the user may not set levels', async () => {
    let isThere = false
    fake.answer = request => {
      if (request === 'GET config') return [200, { compatibilityLevel: 'BACKWARD' }]
      if (request.startsWith('PUT config')) return [403, { error_code: 40301, message: 'you may not set levels' }]
      if (request === 'POST subjects/note-value/versions') isThere = true
      return isThere ? [200, { id: 5 }] : [404, { error_code: 40401, message: 'nothing' }]
    }
    expect(await open().register('note-value', noteSchema)).toBe(5)
  })

  it('tells in the words of the registry why it refuses, as where it is only read', async () => {
    const message = 'Subject note-value is in read-only mode'
    fake.answer = request =>
      /^PUT|versions$/.test(request) ? [422, { error_code: 42205, message }] : [404, { error_code: 40401 }]
    const register = () => open().register('note-value', noteSchema)
    await expectError(register, 'REGISTRY_REFUSED', message, new URL(url).host)
  })

  it('asks again where it is asked too often', async () => {
    let count = 0
    fake.answer = () => (++count < 3 ? [429, { error_code: 42901 }] : [200, { schema: noteSchema }])
    expect(await open().schema(1)).toBe(noteSchema)
  })

  const broken: [what: string, answer: Answer, told: string][] = [
    ['status 500', [500, { message: 'the disk is full' }], 'the disk is full'],
    ['a web page instead of JSON', [200, '<html>'], 'no JSON'],
    ['an answer of another shape', [200, { surprise: true }], 'surprise'],
    ['404 of no registry, such as a wrong path', [404, '<html>not here'], '/path'],
    ['a registry that is elsewhere', [301, '', { location: 'https://elsewhere' }], 'to https://elsewhere'],
    ['a connection that closes', 'close', 'GET schemas/ids/1'],
    ['an answer that is cut off', 'cut', 'GET schemas/ids/1'],
    ['no answer in time', 'hang', '50 ms'],
  ]
  it.each(broken)('tells REGISTRY_UNREACHABLE for %s', async (_what, answer, told) => {
    fake.answer = () => answer
    await expectError(() => open({ timeoutMs: 50 }).schema(1), 'REGISTRY_UNREACHABLE', told, new URL(url).host)
  })

  it('tells REGISTRY_UNREACHABLE where nothing listens', async () => {
    fake.close()
    await expectError(() => open().register('note-value', noteSchema), 'REGISTRY_UNREACHABLE', 'ECONNREFUSED')
  })

  it.each(['hang', 'cut', 'close'] as const)('does not wait for ever for a registration: %s', async end => {
    fake.answer = request =>
      request === 'POST subjects/note-value/versions'
        ? end
        : request.includes('config')
          ? [200, { compatibilityLevel: 'BACKWARD' }]
          : [404, { error_code: 40401, message: 'nothing' }]
    await expectError(() => open({ timeoutMs: 100 }).register('note-value', noteSchema), 'REGISTRY_UNREACHABLE')
  })

  it('asks again where the registry is not up yet', async () => {
    let count = 0
    fake.answer = () => (++count < 3 ? [503, 'starting'] : [200, { schema: noteSchema }])
    expect(await open().schema(1)).toBe(noteSchema)
  })

  it('waits for one that goes away after it has answered, and says so', async () => {
    const told: string[] = []
    const registry = open({ outageMs: 60_000, log: { warn: message => told.push(message) } })
    fake.answer = () => [200, { schema: noteSchema }]
    await registry.schema(1)
    let count = 0
    fake.answer = () => (++count < 7 ? 'close' : [200, { schema: noteSchema }])
    expect(await registry.schema(2)).toBe(noteSchema)
    expect(told).toEqual(Array(3).fill(expect.stringMatching(/^registry http.* has not answered for \d+ s; waiting/)))
  })

  it('gives up one that stays away, and at once one that has never answered', async () => {
    fake.answer = () => 'close'
    await expectError(() => open({ outageMs: 60_000 }).schema(1), 'REGISTRY_UNREACHABLE')
    expect(fake.requests).toHaveLength(4)
    const registry = open({ outageMs: 50 })
    fake.answer = () => [200, { schema: noteSchema }]
    await registry.schema(1)
    fake.answer = () => 'close'
    await expectError(() => registry.schema(2), 'REGISTRY_UNREACHABLE')
  })

  it('does not remember a failure', async () => {
    const registry = open()
    fake.answer = () => [500, 'broken']
    await expectError(() => registry.schema(1), 'REGISTRY_UNREACHABLE')
    fake.answer = () => [200, { schema: noteSchema }]
    expect(await registry.schema(1)).toBe(noteSchema)
  })
})

describe('confluent registry over TLS', () => {
  let folder: string
  let fake: FakeRegistry
  afterEach(() => {
    fake.close()
    removeFolder(folder)
  })

  it('takes the certificates of a CA file, and no others', async () => {
    folder = temporaryFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
    const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject]
    execFileSync('openssl', words, { stdio: 'ignore' })
    const ca = readFileSync(cert, 'utf8')
    fake = new FakeRegistry({ key: readFileSync(key, 'utf8'), cert: ca })
    const url = await fake.listen()
    fake.answer = request => {
      if (request === 'POST subjects/note-value/versions') return [200, { id: 5 }]
      if (request.startsWith('GET config')) return [200, { compatibilityLevel: 'BACKWARD' }]
      return [404, { error_code: 40401, message: 'nothing' }]
    }
    expect(await new ConfluentRegistry({ url, auth: null, ca }).register('note-value', noteSchema)).toBe(5)
    const without = new ConfluentRegistry({ url, auth: null, ca: null, retryMs: 1 })
    await expectError(() => without.register('note-value', noteSchema), 'REGISTRY_UNREACHABLE', 'certificate')
  })
})
