import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster, type ProxiedListener } from './cluster.ts'
import { ComposeHost } from './compose-host.ts'
import { download, pinnedVersion } from './download.ts'
import { type Host, JavaHost } from './host.ts'
import { aliveBrokers, answersHttp } from './ready.ts'
import { startRegistry } from './registry-server.ts'
import { type SecureServices, Security } from './security.ts'
import { chooseWay, type Way } from './way.ts'

export interface ServicesOptions {
  brokers?: 1 | 3
  registry?: boolean
  /** Adds listeners with SASL_SSL and with client certificates to each broker. */
  sasl?: boolean
  /** Adds a listener to each broker that is advertised at a port where nothing listens, for a proxy. */
  proxied?: boolean
  /** Never those of the environment: the caller is going to kill them. */
  own?: boolean
}

/** Where services are; plain data. */
export interface Addresses {
  way: Exclude<Way['kind'], 'none'>
  /** `host:port`, broker 1 first. */
  brokers: string[]
  /** Base URL, Confluent's paths under it. */
  registry: string | null
  /** Null where it was not asked for, and with services of the environment. */
  sasl: SecureServices | null
}

export interface Services extends Addresses {
  /** Listeners for a proxy, broker 1 first; none where they were not asked for. */
  proxied: readonly ProxiedListener[]
  /** Ids of the processes that were started and still run. */
  pids(): number[]
  /** @param number - 1 for the first broker. Resolves when it has ended; with SIGSTOP and SIGCONT at once. */
  killBroker(number: number, signal: NodeJS.Signals): Promise<void>
  /** Starts a broker that was killed, or ends a running one cleanly first; resolves when it answers. */
  restartBroker(number: number): Promise<void>
  /** Ends every process and removes the data. */
  stop(): Promise<void>
}

/**
 * Brings up Kafka and a schema registry on free ports, with data in a temporary folder, and waits until they answer.
 * They end with this process, however it ends. Topics are not made by the first message to them.
 *
 * @throws {Error} There is no way to have them here, or one of them did not start; then nothing is left running.
 */
export async function startServices(options: ServicesOptions = {}): Promise<Services> {
  const way = await chooseWay(options.own ? {} : process.env)
  if (way.kind === 'none') throw new Error(`no Kafka for tests: ${way.reason}`)
  return way.kind === 'environment' ? givenServices(way, options) : startHere(way.kind, options)
}

async function startHere(kind: 'docker' | 'java', options: ServicesOptions): Promise<Services> {
  const tries = 3
  for (let count = 1; ; count++) {
    try {
      return await tryStart(kind, options)
    } catch (error) {
      // Between our look and the broker's start another process may have taken the port.
      if (count === tries || !/address already in use|BindException/i.test(String(error))) throw error
    }
  }
}

async function tryStart(kind: 'docker' | 'java', options: ServicesOptions): Promise<Services> {
  const jars = kind === 'java' ? await download() : null
  const folder = mkdtempSync(join(tmpdir(), 'situ-services-'))
  const host: Host = jars === null ? new ComposeHost(folder) : new JavaHost(folder)
  try {
    const security = options.sasl ? new Security(folder) : null
    await security?.create()
    const cluster = new Cluster(host, {
      folder,
      brokers: options.brokers ?? 1,
      jars: jars && join(jars, 'kafka'),
      image: `apache/kafka:${pinnedVersion('kafka')}`,
      security,
      proxied: options.proxied ?? false,
    })
    const registryOptions = { jars: jars && join(jars, 'registry'), version: pinnedVersion('apicurio') }
    const [registry] = await Promise.all([
      options.registry === false ? null : startRegistry(host, registryOptions),
      cluster.start(),
    ])
    return {
      way: kind,
      brokers: cluster.brokers,
      registry,
      sasl: cluster.secure,
      proxied: cluster.proxied,
      pids: () => host.pids(),
      killBroker: (number, signal) => cluster.kill(number, signal),
      restartBroker: number => cluster.restart(number),
      stop: () => host.close(),
    }
  } catch (error) {
    await host.close()
    throw error
  }
}

async function givenServices(
  given: Extract<Way, { kind: 'environment' }>,
  options: ServicesOptions,
): Promise<Services> {
  const { brokers, registry } = given
  const [first = ''] = brokers
  const alive = await aliveBrokers(first)
  const wanted = options.brokers ?? 1
  if (alive.length < wanted) {
    throw new Error(`SITU_TEST_BROKERS: ${first} tells of ${alive.length} brokers, wanted: ${wanted}`)
  }
  if (options.registry !== false) {
    if (registry === null) throw new Error('SITU_TEST_BROKERS is set, SITU_TEST_REGISTRY is not')
    if (!(await answersHttp(`${registry}/subjects`))) throw new Error(`SITU_TEST_REGISTRY: ${registry} does not answer`)
  }
  const refuse = () => Promise.reject(new Error('brokers given by SITU_TEST_BROKERS are not ours to kill'))
  return {
    way: 'environment',
    brokers,
    registry,
    sasl: null,
    proxied: [],
    pids: () => [],
    killBroker: refuse,
    restartBroker: refuse,
    stop: async () => {},
  }
}
