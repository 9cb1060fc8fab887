import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './command.ts'

export interface User {
  username: string
  password: string
}

/** How clients reach brokers that ask who they are. */
export interface SecureServices {
  /** `host:port` of the SASL_SSL listeners. */
  brokers: string[]
  /** The certificate authority that signed the brokers' certificate (PEM). */
  caFile: string
  mechanisms: readonly ['plain', 'scram-sha-256', 'scram-sha-512']
  /** Both may sign in by every mechanism; the second may do nothing then: each request ends in an authorization error. */
  users: { allowed: User; denied: User }
  /** Listeners that ask for a client certificate instead of a password. */
  mutualTls: { brokers: string[]; certificateFile: string; keyFile: string }
}

/** Certificates and users of one run, in its folder. */
export class Security {
  readonly users = { allowed: makeUser('situ'), denied: makeUser('stranger') }
  readonly caFile: string
  readonly certificateFile: string
  readonly keyFile: string
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    this.caFile = join(folder, 'ca.pem')
    this.certificateFile = join(folder, 'client.pem')
    this.keyFile = join(folder, 'client.key')
  }

  async create(): Promise<void> {
    const caKey = join(this.#folder, 'ca.key')
    await openssl([...newKey(caKey), '-x509', '-days', '30', '-subj', '/CN=situ-test-ca', '-out', this.caFile])
    await Promise.all([this.#sign('broker', caKey), this.#sign('client', caKey)])
    const chain = await openssl(['x509', '-in', join(this.#folder, 'broker.pem')])
    const key = await openssl(['pkey', '-in', join(this.#folder, 'broker.key')])
    writeFileSync(join(this.#folder, 'broker-keystore.pem'), `${key}\n${chain}`, { mode: 0o600 })
  }

  async #sign(name: string, caKey: string): Promise<void> {
    const path = (ending: string) => join(this.#folder, `${name}.${ending}`)
    writeFileSync(path('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    await openssl([...newKey(path('key')), '-subj', `/CN=situ-test-${name}`, '-out', path('csr')])
    const authority = ['-CA', this.caFile, '-CAkey', caKey, '-set_serial', `0x${randomBytes(8).toString('hex')}`]
    await openssl([
      'x509',
      '-req',
      '-in',
      path('csr'),
      ...authority,
      '-days',
      '30',
      '-extfile',
      path('ext'),
      '-out',
      path('pem'),
    ])
  }

  /** What the storage tool writes down for SCRAM. */
  formatWords(): string[] {
    return Object.values(this.users).flatMap(({ username, password }) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(mechanism => [
        '--add-scram',
        `${mechanism}=[name=${username},password=${password}]`,
      ]),
    )
  }

  properties(): Record<string, string> {
    const plainUsers = Object.values(this.users).map(({ username, password }) => `user_${username}="${password}"`)
    const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
    return {
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.sasl.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${plainUsers.join(' ')};`,
      'listener.name.sasl.scram-sha-256.sasl.jaas.config': scram,
      'listener.name.sasl.scram-sha-512.sasl.jaas.config': scram,
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': join(this.#folder, 'broker-keystore.pem'),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': this.caFile,
      'listener.name.mutual.ssl.client.auth': 'required',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': `User:ANONYMOUS;User:${this.users.allowed.username};User:CN=situ-test-client`,
    }
  }
}

function makeUser(username: string): User {
  return { username, password: randomBytes(12).toString('hex') }
}

function newKey(file: string): string[] {
  return ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file]
}

function openssl(words: readonly string[]): Promise<string> {
  return runCommand('openssl', words)
}
