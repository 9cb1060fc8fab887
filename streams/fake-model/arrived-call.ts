import { hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { canonicalJson } from '../../operators/hash.ts'
import type { Call, ChatRequest, Reply, Route } from './behaviour.ts'
import type { Replies } from './replies.ts'

/** A call as the server makes it of a request. */
export class ArrivedCall implements Call {
  readonly number: number
  readonly route: Route
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly request: ChatRequest
  readonly fingerprint: string
  readonly occurrence: number
  readonly #replies: Replies
  #made: { wantedTokens: number; reply: Promise<Reply> | Reply } | null = null

  constructor(facts: Omit<Call, 'reply'>, replies: Replies) {
    this.number = facts.number
    this.route = facts.route
    this.path = facts.path
    this.headers = facts.headers
    this.request = facts.request
    this.fingerprint = facts.fingerprint
    this.occurrence = facts.occurrence
    this.#replies = replies
  }

  async reply(wantedTokens = 0): Promise<Reply> {
    if (this.#made?.wantedTokens !== wantedTokens) {
      this.#made = { wantedTokens, reply: this.#replies.of(this.route, this.request, this.occurrence, wantedTokens) }
    }
    return this.#made.reply
  }
}

/** SHA-256 of route, model, messages, reply format and parameters, in hex; the order of the parameters is no matter. */
export function fingerprintOf(route: Route, { model, messages, response_format, ...parameters }: ChatRequest): string {
  const rest = canonicalJson(parameters)
  return hash('sha256', JSON.stringify([route, model, messages ?? null, response_format ?? null, rest]))
}

/** What such a request is told. */
export const malformed: Readonly<Record<Route, string>> = {
  chat: 'expected JSON with a model and messages, each with a text of whole characters, and no stream',
  embeddings: 'expected JSON with a model and an input',
  moderations: 'expected JSON with an input',
}

/** Whether a request is none that the route can answer. */
export function isMalformed(route: Route, { model, messages, stream, input }: ChatRequest): boolean {
  if (route === 'moderations') return input === undefined
  if (typeof model !== 'string') return true
  if (route === 'embeddings') return input === undefined
  return stream === true || !Array.isArray(messages) || !messages.every(hasText)
}

/** Half a pair of surrogates is no character; llama.cpp refuses it, too. */
function hasText(message: unknown): boolean {
  const content = (message as { content?: unknown } | null)?.content
  return typeof content === 'string' && content.isWellFormed()
}

/** Reads a body; of what is no object, an empty one: it is refused then. */
export function readRequest(text: string): ChatRequest {
  try {
    const value: unknown = JSON.parse(text)
    if (value !== null && typeof value === 'object') return value as ChatRequest
  } catch {
    // Refused below, as any other body.
  }
  return {} as ChatRequest
}
