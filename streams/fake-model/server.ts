import { hash, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { messageOf } from '../../schemas/errors.ts'
import { type Clock, systemClock } from '../clock.ts'
import { ArrivedCall, fingerprintOf, isMalformed, malformed, readRequest } from './arrived-call.ts'
import { type Call, type ChatRequest, type Director, errorBody, type Route } from './behaviour.ts'
import type { CallLog } from './call-log.ts'
import { Exchange, type ExchangeOptions } from './exchange.ts'
import type { Replies } from './replies.ts'

const routes: Readonly<Record<string, Route>> = {
  '/v1/chat/completions': 'chat',
  '/v1/embeddings': 'embeddings',
  '/v1/moderations': 'moderations',
}
/** Longer than any client keeps an idle connection: else a call may meet a connection that is just being closed. */
const keepAliveMs = 10 * 60_000
const backlog = 4_096
/**
 * Below the ports that systems give to outgoing connections: a client that keeps asking for a closed port would one day
 * be given that very port, and talk to itself.
 */
const freePorts = [12_000, 32_000] as const
const maxTries = 100
const rebindMs = 20

/** An answer to what is no call of the API: a status and JSON. */
export interface PlainAnswer {
  status: number
  body: unknown
}

export interface ServerOptions {
  director: Director
  replies: () => Replies
  exchange: () => ExchangeOptions
  /** Answers other paths; null for those that it does not know. */
  other?: (method: string, path: string, headers: IncomingMessage['headers'], body: string) => PlainAnswer | null
  log?: CallLog
  clock?: Clock
}

/** What has come in so far. */
export interface CallCounts {
  calls: number
  byStatus: Record<string, number>
  byOutcome: Record<string, number>
  open: number
  maxOpen: number
  promptTokens: number
  completionTokens: number
}

/** An OpenAI-compatible endpoint whose every call ends as its director says. */
export class FakeModelServer implements AsyncDisposable {
  readonly #options: ServerOptions
  readonly #clock: Clock
  readonly #server: Server
  readonly #open = new Set<Exchange>()
  readonly #occurrences = new Map<string, number>()
  readonly #closing = new AbortController()
  readonly #counts = { calls: 0, maxOpen: 0, promptTokens: 0, completionTokens: 0 }
  readonly #byStatus: Record<string, number> = {}
  readonly #byOutcome: Record<string, number> = {}
  #empty = Promise.withResolvers<void>()
  #address: AddressInfo | null = null

  constructor(options: ServerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch(error => {
        if (!response.headersSent) answer(response, 599, errorBody(messageOf(error)))
      })
    }
    this.#server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, handle)
  }

  /** @param port - 0 takes a free one. */
  async listen(port = 0, host = '127.0.0.1'): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#bind(port || randomInt(...freePorts), host)
        return
      } catch (error) {
        if (port !== 0 || tries === maxTries || !isTaken(error)) throw error
      }
    }
  }

  /** Base URL for a client. */
  get url(): string {
    if (!this.#address) throw new Error('the fake model does not listen yet')
    const { address, family, port } = this.#address
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/v1`
  }

  get counts(): CallCounts {
    return { ...this.#counts, byStatus: this.#byStatus, byOutcome: this.#byOutcome, open: this.#open.size }
  }

  /** Refuses connections and cuts those that are open, until `resume`. */
  async suspend(): Promise<void> {
    await this.#end()
  }

  /** Listens again where it did before. */
  async resume(): Promise<void> {
    const closing = this.#closing.signal
    while (this.#address && !this.#server.listening && !closing.aborted) {
      try {
        await this.#bind(this.#address.port, this.#address.address)
      } catch (error) {
        if (!isTaken(error)) throw error
        await this.#clock.sleep(rebindMs, closing)
      }
    }
  }

  /** Ends everything, the hanging calls too. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #bind(port: number, host: string): Promise<void> {
    const listening = once(this.#server, 'listening')
    this.#server.listen({ port, host, backlog })
    await listening
    this.#address = this.#server.address() as AddressInfo
  }

  async #end(): Promise<void> {
    for (const exchange of this.#open) exchange.cut()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
    // The last calls end after their connections.
    if (this.#open.size > 0) await this.#empty.promise
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await bodyOf(request)
    const [path = ''] = (request.url ?? '').split('?')
    const route = request.method === 'POST' ? routes[path] : undefined
    if (!route) {
      const known = this.#options.other?.(request.method ?? '', path, request.headers, text)
      const { status, body } = known ?? { status: 404, body: errorBody(`no route ${request.method} ${path}`) }
      answer(response, status, body)
      return
    }
    const exchange = this.#begin(route, path, request, text, response)
    const outcome = isMalformed(route, exchange.call.request)
      ? { kind: 'status' as const, name: 'bad-request', status: 400, body: errorBody(malformed[route]) }
      : await this.#options.director.direct(exchange.call)
    if (outcome.latencyMs) await this.#clock.sleep(outcome.latencyMs, this.#closing.signal)
    await exchange.play(outcome)
  }

  #begin(route: Route, path: string, { headers }: IncomingMessage, body: string, response: ServerResponse): Exchange {
    const request = readRequest(body)
    const fingerprint = fingerprintOf(route, request)
    const occurrence = (this.#occurrences.get(fingerprint) ?? 0) + 1
    this.#occurrences.set(fingerprint, occurrence)
    const call = new ArrivedCall(
      { number: ++this.#counts.calls, route, path, headers, request, fingerprint, occurrence },
      this.#options.replies(),
    )
    const exchange = new Exchange(call, response, this.#clock.now(), this.#options.exchange())
    this.#open.add(exchange)
    this.#counts.maxOpen = Math.max(this.#counts.maxOpen, this.#open.size)
    response.once('close', () => this.#ended(exchange))
    const { log } = this.#options
    const sent = { messages: hashMessages(request), ...(log?.holdsBodies && { body }) }
    log?.write({ event: 'arrived', ...entryOf(call, exchange.arrivedAt), ...sent })
    return exchange
  }

  #ended(exchange: Exchange): void {
    this.#open.delete(exchange)
    this.#options.director.ended?.(exchange.call)
    const { outcome, status, ...tokens } = exchange.result
    this.#byStatus[status ?? 'none'] = (this.#byStatus[status ?? 'none'] ?? 0) + 1
    this.#byOutcome[outcome] = (this.#byOutcome[outcome] ?? 0) + 1
    this.#counts.promptTokens += tokens.promptTokens
    this.#counts.completionTokens += tokens.completionTokens
    const time = this.#clock.now()
    const latencyMs = time - exchange.arrivedAt
    this.#options.log?.write({ event: 'ended', ...entryOf(exchange.call, time), outcome, status, ...tokens, latencyMs })
    if (this.#open.size > 0) return
    this.#empty.resolve()
    this.#empty = Promise.withResolvers()
  }
}

/** As the provenance of a record names them, so that a call and a record can be told to belong together. */
function hashMessages({ messages }: ChatRequest): string {
  return hash('sha256', JSON.stringify(messages ?? null))
}

function entryOf({ number, fingerprint, route, request }: Call, time: number) {
  const step = route === 'chat' ? (request.response_format?.json_schema?.name ?? route) : route
  return { call: number, time, fingerprint, step }
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
}

function bodyOf(request: IncomingMessage): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  request
    .on('data', (chunk: Buffer) => chunks.push(chunk))
    .on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    .on('error', reject)
  return promise
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
