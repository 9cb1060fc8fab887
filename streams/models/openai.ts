import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai'
import { Agent } from 'undici'
import type { ChatMessage, FinishReason, Model, ModelReply, ModelRequest, Parameters } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import { connectionFailure, Failures, isConnectTimeout, refusesFormat, type StatusAnswer } from './openai/failures.ts'
import { type Format, formatMemoryOf, responseFormat } from './openai/format-memory.ts'
import { readRateLimits } from './openai/rate-limits.ts'
import { type ChatCompletion, chatCompletion } from './openai/response.ts'

/** A chat completion has a few hundred kilobytes at most; an endpoint that sends more than this is broken. */
const maxResponseBytes = 32 * 1024 * 1024
const maxTimeoutMs = 2 ** 31 - 2
/** Node's own gives up after 300 s without a first byte, or without a further one; here the call's own time counts. */
const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 })
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
  readonly #closing = new AbortController()

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
      fetch: fetchWhole,
      // The same class; its types come from two packages.
      fetchOptions: { dispatcher } as object,
    })
    this.#failures = new Failures(`${options.endpoint} (${options.model})`, options.apiKey)
  }

  async complete(request: ModelRequest): Promise<ModelReply> {
    request.signal.throwIfAborted()
    const memory = formatMemoryOf(`${this.#client.baseURL} ${this.model}`, this.#structuredOutput)
    return memory.use(request.replySchema.name, request.signal, format => this.#call(request, format), refusesFormat)
  }

  async close(): Promise<void> {
    this.#closing.abort(new SituError('TRANSPORT_CLOSED', `the model ${this.endpoint} is closed`))
  }

  async #call(request: ModelRequest, format: Format): Promise<ModelReply> {
    const call = new Call(this.#timeoutMs, [request.signal, this.#closing.signal])
    try {
      const options = { body: this.#body(request, format), signal: call.signal, timeout: this.#timeoutMs }
      const response = await call.race(this.#client.post('/chat/completions', options).asResponse())
      const text = await call.race(this.#read(response))
      const rateLimits = readRateLimits(response.headers)
      return { ...this.#replyOf(parse(text), text), ...(rateLimits.length > 0 && { rateLimits }) }
    } catch (error) {
      if (call.isEnded) throw call.reason
      throw this.#failureOf(error, call)
    } finally {
      call.end()
    }
  }

  #body({ messages, replySchema, sample, replyTokens }: ModelRequest, format: Format): Record<string, unknown> {
    const { seed } = this.parameters
    const limit = Object.hasOwn(this.parameters, 'max_completion_tokens') ? 'max_completion_tokens' : 'max_tokens'
    return {
      model: this.model,
      messages: wellFormed(messages),
      ...this.parameters,
      ...(sample > 0 && typeof seed === 'number' ? { seed: seed + sample } : {}),
      ...(replyTokens === undefined ? {} : { [limit]: replyTokens }),
      ...responseFormat(format, replySchema),
    }
  }

  async #read(response: Response): Promise<string> {
    const { text, error } = await readBody(response)
    if (error) throw this.#failures.broken('the answer ends early or has no end', text, error)
    return text
  }

  #replyOf(parsed: unknown, text: string): ModelReply {
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
    if (call.isOver || error instanceof APIConnectionTimeoutError) {
      return this.#failures.make('MODEL_TIMEOUT', `no answer within ${this.#timeoutMs} ms`, { cause: error })
    }
    if (error instanceof APIConnectionError) {
      const { code, message } = connectionFailure(error.cause ?? error, this.#client.baseURL)
      return this.#failures.make(code, message, { cause: error.cause ?? error })
    }
    if (error instanceof APIError && error.status !== undefined) {
      return this.#failures.ofStatus(error as StatusAnswer)
    }
    return error
  }
}

/** Half a pair of surrogates is no character, and servers refuse it. */
function wellFormed(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (messages.every(({ content }) => content.isWellFormed())) return messages
  return messages.map(({ role, content }) => ({ role, content: content.toWellFormed() }))
}

/** The signal of one call: ended by the caller, by `close` or by its time. */
class Call {
  readonly #controller = new AbortController()
  readonly #signals: readonly AbortSignal[]
  readonly #timer: NodeJS.Timeout
  readonly #stop = Promise.withResolvers<never>()
  /** Ended by the caller or by `close`, for this reason. */
  isEnded = false
  reason: unknown
  /** Its time is over. */
  isOver = false

  constructor(timeoutMs: number, signals: readonly AbortSignal[]) {
    this.#signals = signals
    this.#stop.promise.catch(() => {})
    this.#timer = setTimeout(() => this.#timeout(), timeoutMs)
    for (const signal of signals) {
      signal.addEventListener('abort', this.#abort, { once: true })
      if (signal.aborted) this.#abort()
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Rejects as soon as the call is ended, whatever the client still does. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#stop.promise])
  }

  end(): void {
    clearTimeout(this.#timer)
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => {
    this.isEnded = true
    this.reason = this.#signals.find(signal => signal.aborted)?.reason
    this.#stop.reject(this.reason)
    this.#controller.abort()
  }

  #timeout(): void {
    this.isOver = true
    this.#stop.reject(new Error('the time is over'))
    this.#controller.abort()
  }
}

/**
 * The client keeps only the member `error` of a refusal, and other servers name it otherwise: so the whole body goes
 * there. It also calls a connection that was never made a timeout: that is told apart here.
 */
async function fetchWhole(url: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: unknown) => {
    throw isConnectTimeout(error) ? new Error('no connection was made') : error
  })
  if (response.ok || response.status === 304) return response
  const { text } = await readBody(response)
  const headers = new Headers(response.headers)
  for (const name of ['content-length', 'content-encoding', 'transfer-encoding']) headers.delete(name)
  return new Response(JSON.stringify({ error: { body: text } }), { status: response.status, headers })
}

/** What came of the body, and what ended it where that was not its end. */
async function readBody(response: Response): Promise<{ text: string; error: unknown }> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  let error: unknown = null
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > maxResponseBytes) throw new RangeError(`the answer has more than ${maxResponseBytes} bytes`)
    }
  } catch (thrown) {
    error = thrown
  }
  return { text: Buffer.concat(chunks).toString('utf8'), error }
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
