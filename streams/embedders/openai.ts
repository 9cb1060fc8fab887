import { z } from 'zod'
import type { Embedder } from '../../operators/embedder.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { ClientOptions } from '../models/openai/client.ts'
import { EndpointModel } from '../models/openai/endpoint-model.ts'
import { inputUsage } from '../models/openai/response.ts'
import { directCaller } from '../spending/caller.ts'
import type { EmbeddingCalls, StageEmbedder } from './embedder.ts'

/** Texts in one call: endpoints take 100 and more, some of them not many tokens at once. */
const batchTexts = 32

const vectors = z.array(z.string())
const answer = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.union([z.string(), z.array(z.number())]) })),
  model: z.string().optional(),
  usage: inputUsage,
})

/**
 * The embeddings of an endpoint as a model: each message is a text, the reply is JSON of their vectors (Float32, base64).
 * So its calls go through the layers that all calls go through: limits, cache of paid replies, budget.
 */
class EmbeddingModel extends EndpointModel {
  readonly contextTokens = 8_192
  readonly replyTokens = 1

  constructor(options: ClientOptions) {
    super(options, ['model', 'input', 'encoding_format'])
  }

  async complete({ messages, signal }: ModelRequest): Promise<ModelReply> {
    const input = messages.map(({ content }) => content)
    const body = { ...this.parameters, model: this.model, input, encoding_format: 'float' }
    return this.post('/embeddings', Buffer.from(JSON.stringify(body)), signal, text => this.#read(text, input.length))
  }

  #read(text: string, count: number): ModelReply {
    const { data, usage, model = this.model } = this.parse(text, answer)
    const byIndex = Array.from({ length: count }, (_, index) => data.find(one => one.index === index)?.embedding)
    const encoded = byIndex.flatMap(embedding => (embedding === undefined ? [] : encode(embedding)))
    if (encoded.length === count && new Set(encoded.map(({ length }) => length)).size === 1) {
      return { text: JSON.stringify(encoded), finishReason: 'stop', usage, model }
    }
    throw this.client.failures.broken(`${encoded.length} embeddings of one length for ${count} texts`, text)
  }
}

/** Embeddings of any endpoint that speaks as the `openai` package does. */
export class OpenAiEmbedder implements StageEmbedder {
  readonly name: string
  readonly model: Model
  readonly #calls: EmbeddingCalls
  #dimensions: number

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: ClientOptions) {
    this.model = new EmbeddingModel(options)
    const { dimensions } = options.parameters
    this.#dimensions = typeof dimensions === 'number' ? dimensions : 0
    this.name = dimensions === undefined ? options.model : `${options.model}-${dimensions}`
    this.#calls = { caller: directCaller, operator: 'embed', rank: 0, draining: new AbortController().signal }
  }

  /** 0 until the endpoint has told it, where the parameter is not set. */
  get dimensions(): number {
    return this.#dimensions
  }

  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    return this.#embed(texts, signal, this.#calls)
  }

  through(calls: EmbeddingCalls): Embedder {
    const { name, dimensions } = this
    return { name, dimensions, embed: (texts, signal) => this.#embed(texts, signal, calls) }
  }

  async #embed(
    texts: readonly string[],
    signal: AbortSignal,
    { caller, ...calls }: EmbeddingCalls,
  ): Promise<Float32Array[]> {
    const all: Float32Array[] = []
    for (let at = 0; at < texts.length; at += batchTexts) {
      const messages = texts.slice(at, at + batchTexts).map(content => ({ role: 'user' as const, content }))
      const replySchema = { name: 'embeddings', schema: {} }
      const { reply } = await caller.call({ ...calls, model: this.model, messages, replySchema, sample: 0, signal })
      all.push(...vectors.parse(JSON.parse(reply.text)).map(decode))
    }
    this.#dimensions = all[0]?.length ?? this.#dimensions
    return all
  }
}

/** As base64, made a vector of length 1. Endpoints that send base64 though lists were asked for send Float32. */
function encode(embedding: string | number[]): string {
  const vector = typeof embedding === 'string' ? decode(embedding) : Float32Array.from(embedding)
  const length = Math.hypot(...vector)
  const unit = length === 0 ? vector : vector.map(value => value / length)
  return Buffer.from(unit.buffer).toString('base64')
}

function decode(text: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'))
  return new Float32Array(bytes.buffer, 0, Math.floor(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT))
}
