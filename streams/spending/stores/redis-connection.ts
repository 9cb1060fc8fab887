import { createHash } from 'node:crypto'
import { createClient, ErrorReply, RESP_TYPES } from '@redis/client'
import { messageOf, SituError } from '../../../schemas/errors.ts'
import { systemClock } from '../../clock.ts'
import type { Logger } from '../../log.ts'
import { ChangeSignal } from '../../transports/change-signal.ts'
import { closedError } from '../../transports/outgoing.ts'

export interface RedisConnectionOptions {
  /** `redis://` or `rediss://` with host, and where they are wanted user, password, port and number of the database. */
  url: string
  /** In place of the one in the URL. */
  password?: string | undefined
  log?: Logger | undefined
  /** How long a caller waits for a Redis that has gone away; default 60,000. */
  waitMs?: number | undefined
}

type Client = ReturnType<typeof makeClient>

/** Answers of a Redis that is only not ready yet. */
const notReady = /^(LOADING|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN)\b/
const connectTimeoutMs = 5000

/** One connection, made again whenever it is lost; commands asked for in the meantime wait for it. */
export class RedisConnection {
  /** The URL without user and password. */
  readonly shown: string
  readonly #client: Client
  readonly #waitMs: number
  readonly #log: Logger | undefined
  readonly #changes = new ChangeSignal()
  readonly #hashes = new Map<string, string>()
  readonly #open = new Set<Promise<unknown>>()
  #wasReady = false
  #isAway = false
  #lastError = ''
  #closing: Promise<void> | null = null

  private constructor(options: RedisConnectionOptions) {
    const { address, shown } = parseUrl(options)
    this.shown = shown
    this.#log = options.log
    this.#waitMs = options.waitMs ?? 60_000
    this.#client = makeClient(address, retries => this.#wasReady && Math.min(25 * 2 ** Math.min(retries, 6), 1000))
    this.#client.on('error', (error: unknown) => this.#lost(error))
    this.#client.on('ready', () => this.#ready())
  }

  /** @throws {SituError} CONFIGURATION_INVALID, SPENDING_UNREACHABLE, SPENDING_REFUSED. */
  static async open(options: RedisConnectionOptions): Promise<RedisConnection> {
    const connection = new RedisConnection(options)
    try {
      await connection.#client.connect()
      await connection.#client.ping()
    } catch (error) {
      connection.#client.destroy()
      throw error instanceof ErrorReply ? connection.#refused(error) : connection.#unreachable(messageOf(error), error)
    }
    return connection
  }

  get isReady(): boolean {
    return this.#client.isReady
  }

  get(key: string): Promise<Buffer | null> {
    return this.#run(() => this.#client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(key))
  }

  /** Runs a script, which may happen twice where the first answer is lost. */
  script(source: string, key: string, words: readonly (string | Buffer)[]): Promise<unknown> {
    const options = { keys: [key], arguments: [...words] }
    return this.#run(async () => {
      try {
        return await this.#client.evalSha(this.#hashOf(source), options)
      } catch (error) {
        if (!(error instanceof ErrorReply && error.message.startsWith('NOSCRIPT'))) throw error
        return await this.#client.eval(source, options)
      }
    })
  }

  /** Lets the commands that were asked for end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#open)
    this.#client.destroy()
    this.#changes.raise()
  }

  #hashOf(source: string): string {
    const hash = this.#hashes.get(source) ?? createHash('sha1').update(source).digest('hex')
    this.#hashes.set(source, hash)
    return hash
  }

  #run<T>(command: () => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(closedError('spending store'))
    const work = this.#attempt(command).finally(() => this.#open.delete(work))
    this.#open.add(work)
    return work
  }

  async #attempt<T>(command: () => Promise<T>): Promise<T> {
    const end = new AbortController()
    const timer = setTimeout(() => end.abort(new Error('no answer')), this.#waitMs)
    try {
      return await this.#retry(command, end.signal)
    } finally {
      clearTimeout(timer)
    }
  }

  async #retry<T>(command: () => Promise<T>, over: AbortSignal): Promise<T> {
    while (!over.aborted) {
      const seen = this.#changes.count
      try {
        return await answerWithin(command(), over)
      } catch (error) {
        if (error instanceof ErrorReply && !notReady.test(error.message)) throw this.#refused(error)
        if (error !== over.reason) this.#lastError = messageOf(error)
        if (this.#client.isReady) await systemClock.sleep(50, over)
        else await this.#changes.wait(seen, over)
      }
    }
    throw this.#unreachable(this.#lastError || 'no answer')
  }

  #lost(error: unknown): void {
    this.#lastError = messageOf(error)
    if (!this.#wasReady || this.#isAway) return
    this.#isAway = true
    this.#log?.warn({ spending: this.shown, error: this.#lastError }, 'Redis is away: calls wait for it')
  }

  #ready(): void {
    if (this.#isAway) this.#log?.info({ spending: this.shown }, 'Redis is back')
    this.#wasReady = true
    this.#isAway = false
    this.#changes.raise()
  }

  #unreachable(problem: string, cause?: unknown): SituError {
    const waited = this.#wasReady ? ` for ${this.#waitMs} ms` : ''
    return new SituError('SPENDING_UNREACHABLE', `${this.shown}: does not answer${waited}: ${problem}`, { cause })
  }

  #refused(error: ErrorReply): SituError {
    return new SituError('SPENDING_REFUSED', `${this.shown}: ${error.message}`, { cause: error })
  }
}

interface Address {
  host: string
  port: number
  tls: boolean
  username?: string
  password?: string
  database: number
}

function makeClient(address: Address, reconnectStrategy: (retries: number) => number | false) {
  const { host, port, tls, database, ...user } = address
  const socket = { host, port, connectTimeout: connectTimeoutMs, reconnectStrategy }
  return createClient({
    ...user,
    database,
    socket: tls ? { ...socket, tls: true as const } : socket,
    RESP: 2,
    // Commands that wait do so here, where the time is bounded.
    disableOfflineQueue: true,
  })
}

function parseUrl({ url: text, password }: RedisConnectionOptions): { address: Address; shown: string } {
  const url = URL.parse(text)
  const database = Number(url?.pathname.replace(/^\//, '') || 0)
  if (!url || !/^rediss?:$/.test(url.protocol) || !url.hostname || !Number.isInteger(database) || database < 0) {
    throw new SituError('CONFIGURATION_INVALID', '--spending: is no address like redis://host:6379/0')
  }
  const port = Number(url.port || 6379)
  const secret = password || decodeURIComponent(url.password)
  const address = {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    tls: url.protocol === 'rediss:',
    database,
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(secret && { password: secret }),
  }
  return { address, shown: `${url.protocol}//${url.hostname}:${port}/${database}` }
}

/** Rejects with the reason of the signal, whatever the command still does. */
function answerWithin<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
