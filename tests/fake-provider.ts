import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ChatMessage } from '../operators/model.ts'
import { writers } from '../streams/models/stand-in/writers.ts'
import { StandIn } from '../streams/models/stand-in.ts'

/** The body of a call as it was sent. */
export interface ProviderRequest {
  model: string
  messages: ChatMessage[]
  response_format?: { type: string; json_schema?: { name: string; strict: boolean; schema: Record<string, unknown> } }
  [parameter: string]: unknown
}

/** How one call ends. Without a text, `ok` answers as the stand-in does. */
export type Behaviour =
  | {
      kind: 'ok'
      text?: string | null
      refusal?: string
      finishReason?: string | null
      usage?: unknown
      model?: unknown
    }
  /** Any status with any body; `retryAfter` is the header, in seconds or as a date. */
  | { kind: 'status'; status: number; body?: unknown; headers?: Record<string, string>; retryAfter?: string }
  /** A 200 with this body as it stands. */
  | { kind: 'raw'; body: string; contentType?: string }
  | { kind: 'hang' }
  /** Headers and the first half of a body, then silence. */
  | { kind: 'hang-in-body' }
  /** Headers and the first half of a body, then the connection is cut. */
  | { kind: 'cut' }
  /** The connection is cut before the headers. */
  | { kind: 'reset' }

export type Outcome = Behaviour & { latencyMs?: number }

/** @param call - Number of the call, from 1. */
export type Script = (request: ProviderRequest, call: number) => Outcome | Promise<Outcome>

export interface ProviderCall {
  request: ProviderRequest
  headers: IncomingMessage['headers']
  path: string
}

/** For calls that tell no schema: an object that every operator finds its fields in. */
const everyField = {
  name: 'every-field',
  schema: {
    type: 'object',
    properties: Object.fromEntries(
      Object.values(writers).flatMap(fields => Object.keys(fields).map(name => [name, { type: 'string' }])),
    ),
  },
}

/** A scripted OpenAI-compatible endpoint on a free port of this machine. */
export class FakeProvider implements AsyncDisposable {
  /** Every call in the order of arrival. */
  readonly calls: ProviderCall[] = []
  /** The most calls that were open at one time. */
  maxOpen = 0
  readonly #server: Server
  readonly #script: Script
  readonly #standIn = new StandIn()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #waiting: { count: number; resolve: () => void }[] = []
  #open = 0

  private constructor(script: Script) {
    this.#script = script
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(error => response.writeHead(599).end(String(error)))
    })
  }

  static async start(script: Script = () => ({ kind: 'ok' })): Promise<FakeProvider> {
    const provider = new FakeProvider(script)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    provider.#server.once('error', reject).listen(0, '127.0.0.1', resolve)
    await promise
    return provider
  }

  /** Base URL for a client. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
  }

  /** Resolves once so many calls have arrived. */
  async arrived(count: number): Promise<void> {
    if (this.calls.length >= count) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ count, resolve })
    await promise
  }

  /** Ends everything, the hanging calls too. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.maxOpen = Math.max(this.maxOpen, ++this.#open)
    response.once('close', () => this.#open--)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (request.method !== 'POST' || !request.url?.endsWith('/chat/completions')) {
      send(response, 404, JSON.stringify({ error: { message: `no route ${request.url}` } }))
      return
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as ProviderRequest
    this.calls.push({ request: body, headers: request.headers, path: request.url })
    const number = this.calls.length
    for (const { count, resolve } of this.#waiting) if (number >= count) resolve()
    const outcome = await this.#script(body, number)
    if (outcome.latencyMs) await this.#wait(outcome.latencyMs)
    await this.#play(outcome, body, response)
  }

  async #play(outcome: Behaviour, request: ProviderRequest, response: ServerResponse): Promise<void> {
    switch (outcome.kind) {
      case 'ok':
        return send(response, 200, JSON.stringify(await this.#completion(outcome, request)))
      case 'status':
        return sendStatus(response, outcome)
      case 'raw':
        return send(response, 200, outcome.body, { 'content-type': outcome.contentType ?? 'application/json' })
      case 'reset':
        response.socket?.destroy()
        return
      case 'hang':
        return
      case 'hang-in-body':
      case 'cut': {
        const whole = JSON.stringify(await this.#completion({ kind: 'ok' }, request))
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(whole) })
        response.write(whole.slice(0, whole.length / 2), () => {
          if (outcome.kind === 'cut') response.socket?.destroy()
        })
      }
    }
  }

  async #completion(outcome: Behaviour & { kind: 'ok' }, request: ProviderRequest): Promise<unknown> {
    const asked = request.response_format?.json_schema
    const replySchema = asked ? { name: asked.name, schema: asked.schema } : everyField
    const { signal } = new AbortController()
    const reply = await this.#standIn.complete({ messages: request.messages, replySchema, sample: 0, signal })
    const content = outcome.text === undefined ? reply.text : outcome.text
    const usage = {
      prompt_tokens: reply.usage?.promptTokens ?? 0,
      completion_tokens: reply.usage?.completionTokens ?? 0,
      prompt_tokens_details: { cached_tokens: 7 },
    }
    return {
      id: 'chatcmpl-fake',
      object: 'chat.completion',
      created: 0,
      model: outcome.model ?? `${request.model}-served`,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content, refusal: outcome.refusal ?? null },
          finish_reason: outcome.finishReason === undefined ? 'stop' : outcome.finishReason,
        },
      ],
      usage: outcome.usage === undefined ? usage : outcome.usage,
    }
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    this.#timers.add(timer)
    await promise
    this.#timers.delete(timer)
  }
}

function sendStatus(
  response: ServerResponse,
  { status, body, headers, retryAfter }: Behaviour & { kind: 'status' },
): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body ?? { error: { message: `scripted ${status}` } })
  send(response, status, text, { ...headers, ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }) })
}

function send(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)
}
