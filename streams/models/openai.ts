import OpenAI, { APIConnectionError, APIConnectionTimeoutError } from 'openai'
import type { FinishReason, Model, ModelReply, ModelRequest, Parameters } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import { messageBytes } from '../message-text.ts'
import { connectionFailure, Failures, refusesFormat } from './openai/failures.ts'
import { type Answer, answerOf, fetchAnswer } from './openai/fetch-answer.ts'
import { type Format, formatMemoryOf, responseFormat } from './openai/format-memory.ts'
import { readRateLimits } from './openai/rate-limits.ts'
import { type ChatCompletion, chatCompletion } from './openai/response.ts'

const maxTimeoutMs = 2 ** 31 - 2
/** What a call sets itself. */
const ownParameters = ['model', 'messages', 'stream']

export interface OpenAiOptions {
  /** Name of the endpoint in the configuration. */
  endpoint: string
  /** Address up to `/v1`; null for the client's own default. */
  baseUrl: string | null
  apiKey: string
  model: string
  parameters: Parameters
  contextTokens: number
  replyTokens: number
  /** What to ask for first; where the endpoint refuses it, the next one is used from then on. */
  structuredOutput: Format
  /** From the call to the last byte of the answer. */
  timeoutMs: number
}

/** Any endpoint that speaks the chat completions of the `openai` package. Its retries and its log are off. */
export class OpenAiModel implements Model {
  readonly endpoint: string
  readonly model: string
  readonly parameters: Parameters
  readonly contextTokens: number
  readonly replyTokens: number
  readonly #client: OpenAI
  readonly #failures: Failures
  readonly #structuredOutput: Format
  readonly #timeoutMs: number
  readonly #open = new Set<Call>()
  #closed: SituError | null = null

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: OpenAiOptions) {
    checkOptions(options)
    this.endpoint = options.endpoint
    this.model = options.model
    this.parameters = options.parameters
    this.contextTokens = options.contextTokens
    this.replyTokens = options.replyTokens
    this.#structuredOutput = options.structuredOutput
    this.#timeoutMs = Math.min(Math.max(1, Math.ceil(options.timeoutMs)), maxTimeoutMs)
    this.#client = new OpenAI({
      apiKey: options.apiKey,
      baseURL: options.baseUrl,
      adminAPIKey: null,
      organization: null,
      project: null,
      maxRetries: 0,
      timeout: this.#timeoutMs,
      logLevel: 'off',
      fetch: fetchAnswer,
    })
    this.#failures = new Failures(`${options.endpoint} (${options.model})`, options.apiKey)
  }

  async complete(request: ModelRequest): Promise<ModelReply> {
    request.signal.throwIfAborted()
    const memory = formatMemoryOf(`${this.#client.baseURL} ${this.model}`, this.#structuredOutput)
    return memory.use(request.replySchema.name, request.signal, format => this.#call(request, format), refusesFormat)
  }

  async close(): Promise<void> {
    this.#closed = new SituError('TRANSPORT_CLOSED', `the model ${this.endpoint} is closed`)
    for (const call of this.#open) call.end(this.#closed)
  }

  async #call(request: ModelRequest, format: Format): Promise<ModelReply> {
    if (this.#closed) throw this.#closed
    const call = new Call(this.#timeoutMs, request.signal)
    this.#open.add(call)
    try {
      return this.#replyOf(await call.race(this.#post(this.#body(request, format), call.signal)))
    } catch (error) {
      if (call.isEnded) throw call.reason
      throw this.#failureOf(error, call)
    } finally {
      this.#open.delete(call)
      call.clear()
    }
  }

  async #post(body: Buffer, signal: AbortSignal): Promise<Answer> {
    const options = { body, headers: { 'content-type': 'application/json' }, signal, timeout: this.#timeoutMs }
    return answerOf(await this.#client.post('/chat/completions', options).asResponse())
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

  #replyOf({ status, headers, text, error }: Answer): ModelReply {
    if (status < 200 || status > 299) throw this.#failures.ofStatus({ status, headers, body: text })
    if (error) throw this.#failures.broken('the answer ends early or has no end', text, error)
    const rateLimits = readRateLimits(headers)
    return { ...this.#read(text), ...(rateLimits.length > 0 && { rateLimits }) }
  }

  #read(text: string): ModelReply {
    const parsed = parse(text)
    const checked = chatCompletion.safeParse(parsed)
    if (!checked.success) {
      const [issue] = checked.error.issues
      const problem = parsed === undefined ? 'the answer is no JSON' : `${issue?.path.join('.')}: ${issue?.message}`
      throw this.#failures.broken(problem, text)
    }
    const [choice] = checked.data.choices
    if (!choice || choice.finish_reason === 'error') throw this.#failures.broken('the answer holds an error', text)
    return { ...contentOf(choice), usage: checked.data.usage, model: checked.data.model ?? this.model }
  }

  #failureOf(error: unknown, call: Call): unknown {
    if (error instanceof SituError) return error
    if (call.isOver || error instanceof APIConnectionTimeoutError) {
      return this.#failures.make('MODEL_TIMEOUT', `no answer within ${this.#timeoutMs} ms`, { cause: error })
    }
    const cause = error instanceof APIConnectionError ? (error.cause ?? error) : error
    const { code, message } = connectionFailure(cause, this.#client.baseURL)
    return this.#failures.make(code, message, { cause })
  }
}

/** The signal of one call: ended by the caller, by `close` or by its time. */
class Call {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal
  readonly #timer: NodeJS.Timeout
  readonly #stop = Promise.withResolvers<never>()
  /** Ended by the caller or by `close`, for this reason. */
  isEnded = false
  reason: unknown
  /** Its time is over. */
  isOver = false

  constructor(timeoutMs: number, outer: AbortSignal) {
    this.#outer = outer
    this.#stop.promise.catch(() => {})
    this.#timer = setTimeout(() => this.#timeout(), timeoutMs)
    outer.addEventListener('abort', this.#abort, { once: true })
    if (outer.aborted) this.#abort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Rejects as soon as the call is ended, whatever the client still does. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#stop.promise])
  }

  end(reason: unknown): void {
    this.isEnded = true
    this.reason = reason
    this.#stop.reject(reason)
    this.#controller.abort()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => this.end(this.#outer.reason)

  #timeout(): void {
    this.isOver = true
    this.#stop.reject(new Error('the time is over'))
    this.#controller.abort()
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

function checkOptions({ endpoint, baseUrl, apiKey, parameters }: OpenAiOptions): void {
  const invalid = (problem: string) => new SituError('CONFIGURATION_INVALID', `model endpoint ${endpoint}: ${problem}`)
  const url = baseUrl === null ? null : URL.parse(baseUrl)
  if (baseUrl !== null && !/^https?:$/.test(url?.protocol ?? '')) throw invalid('the base URL is no http(s) address')
  if (url?.username || url?.password) throw invalid('the base URL holds a password; use the variable of the key')
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw invalid('the key is empty or holds a character that no header may hold')
  const own = ownParameters.find(name => Object.hasOwn(parameters, name))
  if (own) throw invalid(`the parameter ${own} is set by each call`)
}
