import type { FinishReason, Model, ModelReply, ModelRequest, Parameters } from '../../operators/model.ts'
import { messageBytes } from '../message-text.ts'
import { type ClientOptions, OpenAiClient } from './openai/client.ts'
import { refusesFormat } from './openai/failures.ts'
import type { Answer } from './openai/fetch-answer.ts'
import { type Format, formatMemoryOf, responseFormat } from './openai/format-memory.ts'
import { readRateLimits } from './openai/rate-limits.ts'
import { type ChatCompletion, chatCompletion } from './openai/response.ts'

/** What a call sets itself. */
const ownParameters = ['model', 'messages', 'stream']

export interface OpenAiOptions extends ClientOptions {
  contextTokens: number
  replyTokens: number
  /** What to ask for first; where the endpoint refuses it, the next one is used from then on. */
  structuredOutput: Format
}

/** Any endpoint that speaks the chat completions of the `openai` package. */
export class OpenAiModel implements Model {
  readonly endpoint: string
  readonly model: string
  readonly parameters: Parameters
  readonly contextTokens: number
  readonly replyTokens: number
  readonly #client: OpenAiClient
  readonly #structuredOutput: Format

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: OpenAiOptions) {
    this.#client = new OpenAiClient(options, ownParameters)
    this.endpoint = options.endpoint
    this.model = options.model
    this.parameters = options.parameters
    this.contextTokens = options.contextTokens
    this.replyTokens = options.replyTokens
    this.#structuredOutput = options.structuredOutput
  }

  async complete(request: ModelRequest): Promise<ModelReply> {
    request.signal.throwIfAborted()
    const memory = formatMemoryOf(`${this.#client.baseUrl} ${this.model}`, this.#structuredOutput)
    return memory.use(request.replySchema.name, request.signal, format => this.#call(request, format), refusesFormat)
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #call(request: ModelRequest, format: Format): Promise<ModelReply> {
    return this.#replyOf(await this.#client.post('/chat/completions', this.#body(request, format), request.signal))
  }

  /** The same bytes as JSON of the whole; the messages are made into text once for all who need it. */
  #body({ messages, replySchema, sample, replyTokens }: ModelRequest, format: Format): Buffer {
    const { seed } = this.parameters
    const limit = Object.hasOwn(this.parameters, 'max_completion_tokens') ? 'max_completion_tokens' : 'max_tokens'
    const rest = JSON.stringify({
      ...this.parameters,
      ...(sample > 0 && typeof seed === 'number' ? { seed: seed + sample } : {}),
      ...(replyTokens === undefined ? {} : { [limit]: replyTokens }),
      ...responseFormat(format, replySchema),
    })
    return Buffer.concat([
      Buffer.from(`{"model":${JSON.stringify(this.model)},"messages":`),
      messageBytes(messages),
      Buffer.from(rest === '{}' ? '}' : `,${rest.slice(1)}`),
    ])
  }

  #replyOf({ headers, text }: Answer): ModelReply {
    const rateLimits = readRateLimits(headers)
    return { ...this.#read(text), ...(rateLimits.length > 0 && { rateLimits }) }
  }

  #read(text: string): ModelReply {
    const parsed = parse(text)
    const checked = chatCompletion.safeParse(parsed)
    if (!checked.success) {
      const [issue] = checked.error.issues
      const problem = parsed === undefined ? 'the answer is no JSON' : `${issue?.path.join('.')}: ${issue?.message}`
      throw this.#client.failures.broken(problem, text)
    }
    const [choice] = checked.data.choices
    if (!choice || choice.finish_reason === 'error')
      throw this.#client.failures.broken('the answer holds an error', text)
    return { ...contentOf(choice), usage: checked.data.usage, model: checked.data.model ?? this.model }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Choice = ChatCompletion['choices'][number]

function contentOf({ message, finish_reason: reason }: Choice): Pick<ModelReply, 'text' | 'finishReason'> {
  const { content, refusal } = message
  if (!content && refusal) return { text: refusal, finishReason: 'content_filter' }
  const known: readonly FinishReason[] = ['stop', 'length', 'content_filter']
  return { text: content ?? '', finishReason: known.find(one => one === reason) ?? 'other' }
}
