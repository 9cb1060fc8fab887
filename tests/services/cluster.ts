import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './command.ts'
import type { Host, Running, Unit } from './host.ts'
import { freePorts } from './ports.ts'
import { aliveBrokers, waitUntil } from './ready.ts'
import type { SecureServices, Security } from './security.ts'

export interface ClusterOptions {
  folder: string
  brokers: 1 | 3
  /** Where the jars are; not needed where the host has them in an image. */
  jars: string | null
  image: string
  security: Security | null
  /** Adds a listener to each broker that clients are told to reach through a port of somebody between. */
  proxied: boolean
}

/** A listener of a broker, and where its clients are told that it is. */
export interface ProxiedListener {
  listening: number
  advertised: number
}

type Listener = 'plain' | 'controller' | 'sasl' | 'mutual' | 'proxied'
type Ports = Record<Listener | 'advertised', number>

const protocols: Record<Listener, string> = {
  plain: 'PLAINTEXT',
  controller: 'PLAINTEXT',
  sasl: 'SASL_SSL',
  mutual: 'SSL',
  proxied: 'PLAINTEXT',
}
const storageTool = 'kafka.tools.StorageTool'
/** Small, and quick to start: two cores gain nothing from a parallel collector. */
const brokerMemory = ['-Xms64m', '-Xmx512m', '-XX:+UseSerialGC']

/** Brokers that are controllers too, each with a folder, a log and ports that it keeps over restarts. */
export class Cluster {
  readonly #options: ClusterOptions
  readonly #host: Host
  /** Sixteen bytes whose text begins with a letter: the storage tool would take a dash for an option. */
  readonly #id = Buffer.concat([Buffer.of(0), randomBytes(15)]).toString('base64url')
  readonly #running = new Map<number, Running>()
  #ports: Ports[] = []

  constructor(host: Host, options: ClusterOptions) {
    this.#host = host
    this.#options = options
  }

  get brokers(): string[] {
    return this.#addresses('plain')
  }

  /** Broker 1 first; none where they were not asked for. */
  get proxied(): ProxiedListener[] {
    if (!this.#options.proxied) return []
    return this.#ports.map(({ proxied, advertised }) => ({ listening: proxied, advertised }))
  }

  get secure(): SecureServices | null {
    const { security } = this.#options
    if (!security) return null
    const { caFile, users, certificateFile, keyFile } = security
    const mutualTls = { brokers: this.#addresses('mutual'), certificateFile, keyFile }
    const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
    return { brokers: this.#addresses('sasl'), caFile, mechanisms, users, mutualTls }
  }

  async start(): Promise<void> {
    const each = Object.keys(protocols).length + 1
    const ports = await freePorts(this.#options.brokers * each)
    this.#ports = Array.from({ length: this.#options.brokers }, (_, index) => {
      const [plain = 0, controller = 0, sasl = 0, mutual = 0, proxied = 0, advertised = 0] = ports.slice(index * each)
      return { plain, controller, sasl, mutual, proxied, advertised }
    })
    const numbers = this.#ports.map((_, index) => index + 1)
    for (const number of numbers) this.#writeProperties(number)
    // One is enough where the host formats; a broker in a container formats its own storage when it starts.
    if (this.#options.jars !== null) await Promise.all(numbers.map(number => this.#format(number)))
    for (const number of numbers) await this.#launch(number)
    await Promise.all(numbers.map(number => this.#ready(number)))
  }

  /** Sends a signal; resolves when the broker has ended, or at once where the signal only stops or continues it. */
  async kill(number: number, signal: NodeJS.Signals): Promise<void> {
    const running = this.#get(number)
    await running.signal(signal)
    if (['SIGSTOP', 'SIGCONT'].includes(signal)) return
    await running.exited
  }

  /** Starts a broker with the data and the ports that it had, after a clean end where it still runs. */
  async restart(number: number): Promise<void> {
    if (this.#running.has(number)) await this.kill(number, 'SIGTERM')
    await this.#launch(number)
    await this.#ready(number)
  }

  #get(number: number): Running {
    const running = this.#running.get(number)
    if (!running) throw new Error(`broker ${number} does not run; running: ${[...this.#running.keys()].join(', ')}`)
    return running
  }

  #addresses(listener: Listener): string[] {
    return this.#ports.map(ports => `127.0.0.1:${ports[listener]}`)
  }

  async #launch(number: number): Promise<void> {
    const running = await this.#host.start(this.#unit(number))
    this.#running.set(number, running)
    running.exited.then(() => {
      if (this.#running.get(number) === running) this.#running.delete(number)
    })
  }

  /** Ready is a broker that knows itself and, at the first start, all others as alive. */
  async #ready(number: number): Promise<void> {
    const { [number - 1]: own = '' } = this.brokers
    const wanted = [...this.#running.keys()].map(running => this.brokers[running - 1])
    const { exited } = this.#get(number)
    await waitUntil(
      `broker ${number} (${own})`,
      async () => {
        const alive = await aliveBrokers(own)
        return wanted.every(address => address !== undefined && alive.includes(address))
      },
      { ended: exited },
    )
  }

  #unit(number: number): Unit {
    const properties = this.#path(number, 'properties')
    const format = ['/opt/kafka/bin/kafka-storage.sh', 'format', ...this.#formatWords(number)].map(quote).join(' ')
    const start = ['/opt/kafka/bin/kafka-server-start.sh', properties].map(quote).join(' ')
    return {
      name: `broker-${number}`,
      java: [...brokerMemory, '-cp', `${this.#options.jars}/*`, 'kafka.Kafka', properties],
      container: {
        image: this.#options.image,
        entrypoint: ['sh', '-c', `${format} && exec ${start}`],
        environment: { KAFKA_HEAP_OPTS: '-Xms64m -Xmx512m', LOG_DIR: this.#path(number, 'logs') },
      },
    }
  }

  async #format(number: number): Promise<void> {
    const words = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', `${this.#options.jars}/*`]
    await runCommand('java', [...words, storageTool, 'format', ...this.#formatWords(number)], { timeoutMs: 60_000 })
  }

  #formatWords(number: number): string[] {
    const scram = this.#options.security?.formatWords() ?? []
    return ['-t', this.#id, '-c', this.#path(number, 'properties'), '--ignore-formatted', ...scram]
  }

  #path(number: number, ending: string): string {
    return join(this.#options.folder, `broker-${number}.${ending}`)
  }

  #writeProperties(number: number): void {
    mkdirSync(this.#path(number, 'data'))
    const lines = Object.entries(this.#properties(number)).map(([name, value]) => `${name}=${value}`)
    writeFileSync(this.#path(number, 'properties'), `${lines.join('\n')}\n`, { mode: 0o600 })
  }

  #properties(number: number): Record<string, string> {
    const { brokers, security, proxied } = this.#options
    const { [number - 1]: own } = this.#ports
    const names = (Object.keys(protocols) as Listener[]).filter(name => {
      if (name === 'proxied') return proxied
      return security !== null || protocols[name] === 'PLAINTEXT'
    })
    const listeners = names.map(name => `${name.toUpperCase()}://127.0.0.1:${own?.[name]}`)
    const advertised = names
      .filter(name => name !== 'controller')
      .map(name => `${name.toUpperCase()}://127.0.0.1:${own?.[name === 'proxied' ? 'advertised' : name]}`)
    const isr = brokers === 1 ? '1' : '2'
    return {
      'process.roles': 'broker,controller',
      'node.id': `${number}`,
      'controller.quorum.voters': this.#ports
        .map(({ controller }, at) => `${at + 1}@127.0.0.1:${controller}`)
        .join(','),
      listeners: listeners.join(','),
      'advertised.listeners': advertised.join(','),
      'listener.security.protocol.map': names.map(name => `${name.toUpperCase()}:${protocols[name]}`).join(','),
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'PLAIN',
      'log.dirs': this.#path(number, 'data'),
      // A misspelled topic is an error here, and not a topic.
      'auto.create.topics.enable': 'false',
      'default.replication.factor': `${brokers}`,
      'min.insync.replicas': isr,
      'offsets.topic.replication.factor': `${brokers}`,
      'offsets.topic.num.partitions': '8',
      'transaction.state.log.replication.factor': `${brokers}`,
      'transaction.state.log.min.isr': isr,
      'transaction.state.log.num.partitions': '8',
      'group.initial.rebalance.delay.ms': '0',
      // After a kill -9 a broker may come back only when its earlier self is given up: 9 s by default.
      'broker.session.timeout.ms': '6000',
      'broker.heartbeat.interval.ms': '1000',
      'log.cleaner.dedupe.buffer.size': `${16 * 1024 * 1024}`,
      ...security?.properties(),
    }
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
