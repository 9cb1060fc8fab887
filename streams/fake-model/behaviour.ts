import type { IncomingHttpHeaders } from 'node:http'
import type { ChatMessage } from '../../operators/model.ts'

/** Body of a chat call as it was sent. */
export interface ChatRequest {
  model: string
  messages: ChatMessage[]
  response_format?: { type: string; json_schema?: { name: string; strict: boolean; schema: Record<string, unknown> } }
  [parameter: string]: unknown
}

export type Route = 'chat' | 'embeddings' | 'moderations'

/** What a call is answered with where nothing goes wrong. */
export interface Reply {
  /** The message of a chat; the whole body of the other routes, as JSON. */
  text: string
  finishReason: 'stop' | 'length'
  promptTokens: number
  completionTokens: number
}

/** One call that has arrived. */
export interface Call {
  /** From 1, in the order of arrival. */
  readonly number: number
  readonly route: Route
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly request: ChatRequest
  /** SHA-256 of model, messages, parameters and reply format, in hex. */
  readonly fingerprint: string
  /** How many calls with this fingerprint have arrived, this one included. */
  readonly occurrence: number
  /**
   * The same for each call of this fingerprint, unless it samples: a temperature above 0 and no seed.
   *
   * @param wantedTokens - Makes its texts longer, up to about so many tokens in all.
   */
  reply(wantedTokens?: number): Promise<Reply>
}

/** How one call ends. */
export type Behaviour =
  /** Without a text, the reply of the stand-in. */
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

export type Outcome = Behaviour & {
  latencyMs?: number
  /** What the log calls it; the kind where it is left out. */
  name?: string
  /** Sent with whatever is sent. */
  extraHeaders?: Record<string, string>
  /** Tokens that a padded reply should have. */
  wantedTokens?: number
}

/** Decides how each call ends. */
export interface Director {
  direct(call: Call): Outcome | Promise<Outcome>
  /** The call is over, however it ended. */
  ended?(call: Call): void
}

/** An error as OpenAI words it. */
export function errorBody(message: string, code: string | null = null, type = 'invalid_request_error'): unknown {
  return { error: { message, type, param: null, code } }
}
