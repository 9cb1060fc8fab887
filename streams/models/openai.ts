import type { FinishReason, ModelKind, ModelReply, ModelRequest } from '../../operators/model.ts'
import { messageBytes } from '../message-text.ts'
import type { ClientOptions } from './openai/client.ts'
import { EndpointModel } from './openai/endpoint-model.ts'
import { refusesFormat } from './openai/failures.ts'
import { type Format, formatMemoryOf, responseFormat } from './openai/format-memory.ts'
import { type ChatCompletion, chatCompletion } from './openai/response.ts'

export interface OpenAiOptions extends ClientOptions {
  /** Left out: chat. A guard is asked for no format: it has one. */
  kind?: Exclude<ModelKind, 'moderation'>
  contextTokens: number
  replyTokens: number
  /** What to ask for first; where the endpoint refuses it, the next one is used from then on. */
  structuredOutput: Format
}

/** Any endpoint that speaks the chat completions of the `openai` package. */
export class OpenAiModel extends EndpointModel {
  readonly kind: ModelKind
  readonly contextTokens: number
  readonly replyTokens: number
  readonly #structuredOutput: Format

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: OpenAiOptions) {
    super(options, ['model', 'messages', 'stream'])
    this.kind = options.kind ?? 'chat'
    this.contextTokens = options.contextTokens
    this.replyTokens = options.replyTokens
    this.#structuredOutput = this.kind === 'guard' ? 'none' : options.structuredOutput
  }

  async complete(request: ModelRequest): Promise<ModelReply> {
    request.signal.throwIfAborted()
    const memory = formatMemoryOf(`${this.client.baseUrl} ${this.model}`, this.#structuredOutput)
    return memory.use(request.replySchema.name, request.signal, format => this.#call(request, format), refusesFormat)
  }

  #call(request: ModelRequest, format: Format): Promise<ModelReply> {
    const body = this.#body(request, format)
    return this.post('/chat/completions', body, request.signal, answer => this.#read(answer))
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

  #read(answer: string): ModelReply {
    const { choices, usage, model = this.model } = this.parse(answer, chatCompletion)
    const [choice] = choices
    if (!choice || choice.finish_reason === 'error') {
      throw this.client.failures.broken('the answer holds an error', answer)
    }
    return { ...contentOf(choice), usage, model }
  }
}

type Choice = ChatCompletion['choices'][number]

function contentOf({ message, finish_reason: reason }: Choice): Pick<ModelReply, 'text' | 'finishReason'> {
  const { content, refusal } = message
  if (!content && refusal) return { text: refusal, finishReason: 'content_filter' }
  const known: readonly FinishReason[] = ['stop', 'length', 'content_filter']
  return { text: content ?? '', finishReason: known.find(one => one === reason) ?? 'other' }
}
