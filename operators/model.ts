/** The Model port: what an operator may ask of a language model. Adapters: streams/models/. */

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** The shape that a reply should have. `schema` is JSON Schema; it holds no maxLength (some grammars crawl on it). */
export interface ReplySchema {
  name: string
  schema: Record<string, unknown>
}

export interface ModelRequest {
  messages: readonly ChatMessage[]
  replySchema: ReplySchema
  /** Number of the sample: two samples of one request are two calls. */
  sample: number
  /** Limit of this reply in tokens, where it is not the configured one. */
  replyTokens?: number
  signal: AbortSignal
}

export interface Usage {
  promptTokens: number
  cachedTokens: number
  completionTokens: number
}

export type FinishReason = 'stop' | 'length' | 'content_filter' | 'other'

export interface ModelReply {
  text: string
  finishReason: FinishReason
  /** Null where the endpoint gave none. */
  usage: Usage | null
  /** Model as the endpoint named it in its answer. */
  model: string
  /** What the endpoint told of its limits per minute. */
  rateLimits?: readonly RateLimit[]
}

/** A limit as an endpoint tells it with an answer. */
export interface RateLimit {
  name: 'requests' | 'tokens'
  /** Per minute. */
  limit: number
  remaining: number
  /** Until the whole limit is there again. */
  resetMs: number
}

/** Parameters as configured, sent as they are (temperature, max_tokens, seed, …). */
export type Parameters = Readonly<Record<string, unknown>>

/**
 * How a model is asked: a `chat` model by the operator's prompt. The others know their categories of harm themselves and
 * get a text alone: a `guard` answers `safe`, or `unsafe` with codes; a `moderation` model with JSON.
 */
export const modelKinds = ['chat', 'guard', 'moderation'] as const
export type ModelKind = (typeof modelKinds)[number]

export interface Model {
  /** Left out: chat. */
  readonly kind?: ModelKind
  /** Name of the endpoint in the configuration. */
  readonly endpoint: string
  /** Model as sent. */
  readonly model: string
  readonly parameters: Parameters
  /** Tokens that prompt and reply may have together. */
  readonly contextTokens: number
  /** Tokens that the reply may have, as configured. */
  readonly replyTokens: number
  /**
   * Makes one call. Never retries.
   *
   * @throws {SituError} MODEL_* of the error table, with the endpoint's answer as evidence. A reply that was cut off
   * or filtered is no error here: see `finishReason`.
   */
  complete(request: ModelRequest): Promise<ModelReply>
  /** Ends what is still open. */
  close?(): Promise<void>
}
