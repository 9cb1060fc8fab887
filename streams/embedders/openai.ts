import { z } from 'zod'
import { bytesOf, type Embedder, vectorOf } from '../../operators/embedder.ts'
import type { Model, ModelReply, ModelRequest, Parameters } from '../../operators/model.ts'
import { type ClientOptions, OpenAiClient } from '../models/openai/client.ts'
import type { EmbeddingCall, StageEmbedder } from './embedder.ts'

/** Texts in one call: endpoints take 100 and more, some of them not many tokens at once. */
const batchTexts = 32
/** Of the models that take the most; what a model of the configuration takes goes before it. */
const contextTokens = 8_192
const ownParameters = ['model', 'input', 'encoding_format']

const vectors = z.array(z.string())
const answer = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.union([z.string(), z.array(z.number())]) })),
  model: z.string().optional(),
  usage: z.object({ prompt_tokens: z.number() }).nullish(),
})

export interface EmbedderOptions extends ClientOptions {
  /** Tokens that the model takes of a text, where the configuration tells it. */
  contextTokens?: number
}

/**
 * The embeddings of an endpoint as a model: each message is a text, the reply is JSON of their vectors (Float32, base64).
 * So its calls go through the layers that all calls go through: limits, cache of paid replies, budget.
 */
class EmbeddingModel implements Model {
  readonly endpoint: string
  readonly model: string
  readonly parameters: Parameters
  readonly contextTokens: number
  readonly replyTokens = 1
  readonly #client: OpenAiClient

  constructor(options: EmbedderOptions) {
    this.#client = new OpenAiClient(options, ownParameters)
    this.endpoint = options.endpoint
    this.model = options.model
    this.parameters = options.parameters
    this.contextTokens = Math.min(contextTokens, options.contextTokens ?? contextTokens)
  }

  async complete({ messages, signal }: ModelRequest): Promise<ModelReply> {
    const input = messages.map(({ content }) => content)
    const body = { ...this.parameters, model: this.model, input, encoding_format: 'float' }
    const { text } = await this.#client.post('/embeddings', Buffer.from(JSON.stringify(body)), signal)
    const read = this.#read(text, input.length)
    const usage = read.usage && { promptTokens: read.usage.prompt_tokens, cachedTokens: 0, completionTokens: 0 }
    const model = read.model ?? this.model
    return { text: JSON.stringify(read.vectors), finishReason: 'stop', usage: usage ?? null, model }
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  #read(text: string, count: number) {
    const parsed = answer.safeParse(parse(text))
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      throw this.#client.failures.broken(`no embeddings: ${issue?.path.join('.')} ${issue?.message}`, text)
    }
    const { data, ...rest } = parsed.data
    const byIndex = Array.from({ length: count }, (_, index) => data.find(one => one.index === index)?.embedding)
    const found = byIndex.flatMap(embedding => (embedding === undefined ? [] : [toVector(embedding)]))
    if (found.length !== count || new Set(found.map(({ length }) => length)).size !== 1) {
      throw this.#client.failures.broken(`${found.length} embeddings of one length for ${count} texts`, text)
    }
    const units = found.flatMap(vector => toUnit(vector) ?? [])
    if (units.length === count) return { ...rest, vectors: units.map(vector => bytesOf(vector).toString('base64')) }
    throw this.#client.failures.broken(`${count - units.length} of ${count} embeddings have no direction`, text)
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
      all.push(...vectors.parse(parse(text)).map(base64 => vectorOf(Buffer.from(base64, 'base64'))))
    }
    this.#dimensions = all[0]?.length ?? this.#dimensions
    return all
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
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
