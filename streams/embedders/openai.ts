import { z } from 'zod'
import { bytesOf, type Embedder, vectorOf } from '../../operators/embedder.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { ClientOptions } from '../models/openai/client.ts'
import { EndpointModel } from '../models/openai/endpoint-model.ts'
import { inputUsage } from '../models/openai/response.ts'
import type { EmbeddingCall, StageEmbedder } from './embedder.ts'

/** Texts in one call: endpoints take 100 and more, some of them not many tokens at once. */
const batchTexts = 32
/** No model for embeddings is known to take more. */
const mostContextTokens = 8_192

const vectors = z.array(z.string())
const answer = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.union([z.string(), z.array(z.number())]) })),
  model: z.string().optional(),
  usage: inputUsage,
})

export interface EmbedderOptions extends ClientOptions {
  /** Tokens that the model takes of a text; left out, or above 8,192: so many. */
  contextTokens?: number | undefined
}

/**
 * The embeddings of an endpoint as a model: each message is a text, the reply is JSON of their vectors (Float32, base64).
 * So its calls go through the layers that all calls go through: limits, cache of paid replies, budget.
 */
class EmbeddingModel extends EndpointModel {
  readonly contextTokens: number
  /** It writes nothing. */
  readonly replyTokens = 0

  constructor({ contextTokens = mostContextTokens, ...options }: EmbedderOptions) {
    super(options, ['model', 'input', 'encoding_format'])
    this.contextTokens = Math.min(contextTokens, mostContextTokens)
  }

  async complete({ messages, signal }: ModelRequest): Promise<ModelReply> {
    const input = messages.map(({ content }) => content)
    const body = { ...this.parameters, model: this.model, input, encoding_format: 'float' }
    return this.post('/embeddings', Buffer.from(JSON.stringify(body)), signal, text => this.#read(text, input.length))
  }

  #read(text: string, count: number): ModelReply {
    const { data, usage, model = this.model } = this.parse(text, answer)
    const byIndex = Array.from({ length: count }, (_, index) => data.find(one => one.index === index)?.embedding)
    const found = byIndex.flatMap(embedding => (embedding === undefined ? [] : [toVector(embedding)]))
    if (found.length !== count || new Set(found.map(({ length }) => length)).size !== 1) {
      throw this.client.failures.broken(`${found.length} embeddings of one length for ${count} texts`, text)
    }
    const encoded = found.flatMap(vector => toUnit(vector) ?? []).map(unit => bytesOf(unit).toString('base64'))
    if (encoded.length === count) return { text: JSON.stringify(encoded), finishReason: 'stop', usage, model }
    throw this.client.failures.broken(`${count - encoded.length} of ${count} embeddings are no direction`, text)
  }
}

/** Embeddings of any endpoint that speaks as the `openai` package does. */
export class OpenAiEmbedder implements StageEmbedder {
  readonly name: string
  readonly model: Model
  #dimensions: number

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: EmbedderOptions) {
    this.model = new EmbeddingModel(options)
    const { dimensions } = options.parameters
    this.#dimensions = typeof dimensions === 'number' ? dimensions : 0
    this.name = dimensions === undefined ? options.model : `${options.model}-${dimensions}`
  }

  /** 0 until the endpoint has told it, where the parameter is not set. */
  get dimensions(): number {
    return this.#dimensions
  }

  get contextTokens(): number {
    return this.model.contextTokens
  }

  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    return this.#embed(texts, signal, request => this.model.complete({ ...request, sample: 0, signal }))
  }

  through(call: EmbeddingCall, contextTokens = this.contextTokens): Embedder {
    const { name, dimensions } = this
    return { name, dimensions, contextTokens, embed: (texts, signal) => this.#embed(texts, signal, call) }
  }

  async #embed(texts: readonly string[], signal: AbortSignal, call: EmbeddingCall): Promise<Float32Array[]> {
    const all: Float32Array[] = []
    for (let at = 0; at < texts.length; at += batchTexts) {
      const messages = texts.slice(at, at + batchTexts).map(content => ({ role: 'user' as const, content }))
      const { text } = await call({ messages, replySchema: { name: 'embeddings', schema: {} } }, signal)
      all.push(...vectors.parse(JSON.parse(text)).map(base64 => vectorOf(Buffer.from(base64, 'base64'))))
    }
    this.#dimensions = all[0]?.length ?? this.#dimensions
    return all
  }
}

/** Endpoints that send base64 though lists were asked for send Float32. */
function toVector(embedding: string | number[]): Float32Array {
  return typeof embedding === 'string' ? vectorOf(Buffer.from(embedding, 'base64')) : Float32Array.from(embedding)
}

/** The vector with length 1; null for one of zeros, or of what are no numbers. */
function toUnit(vector: Float32Array): Float32Array | null {
  const length = Math.hypot(...vector)
  return length > 0 && Number.isFinite(length) ? vector.map(value => value / length) : null
}
