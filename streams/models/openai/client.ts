import OpenAI, { APIConnectionError, APIConnectionTimeoutError } from 'openai'
import type { Parameters } from '../../../operators/model.ts'
import { SituError } from '../../../schemas/errors.ts'
import { connectionFailure, Failures } from './failures.ts'
import { type Answer, answerOf, fetchAnswer } from './fetch-answer.ts'

const maxTimeoutMs = 2 ** 31 - 2

export interface ClientOptions {
  /** Name of the endpoint in the configuration. */
  endpoint: string
  /** Address up to `/v1`; null for the client's own default. */
  baseUrl: string | null
  apiKey: string
  model: string
  parameters: Parameters
  /** From the call to the last byte of the answer. */
  timeoutMs: number
}

/** An endpoint that speaks as the `openai` package does. The retries and the log of the package are off. */
export class OpenAiClient {
  readonly failures: Failures
  readonly #client: OpenAI
  readonly #endpoint: string
  readonly #timeoutMs: number
  readonly #open = new Set<Call>()
  #closed: SituError | null = null

  /**
   * @param ownParameters - Those that each call sets itself.
   * @throws {SituError} CONFIGURATION_INVALID
   */
  constructor(options: ClientOptions, ownParameters: readonly string[]) {
    checkOptions(options, ownParameters)
    this.#endpoint = options.endpoint
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
    this.failures = new Failures(options)
  }

  get baseUrl(): string {
    return this.#client.baseURL
  }

  /**
   * Posts JSON and reads the whole answer.
   *
   * @throws {SituError} MODEL_*, for a status above 299 too.
   */
  async post(path: string, body: Buffer, signal: AbortSignal): Promise<Answer> {
    if (this.#closed) throw this.#closed
    const call = new Call(this.#timeoutMs, signal)
    this.#open.add(call)
    try {
      return this.#checked(await call.race(this.#post(path, body, call.signal)))
    } catch (error) {
      if (call.isEnded) throw call.reason
      throw this.#failureOf(error, call)
    } finally {
      this.#open.delete(call)
      call.clear()
    }
  }

  /** Ends what is still open. */
  close(): void {
    this.#closed = new SituError('TRANSPORT_CLOSED', `the model ${this.#endpoint} is closed`)
    for (const call of this.#open) call.end(this.#closed)
  }

  async #post(path: string, body: Buffer, signal: AbortSignal): Promise<Answer> {
    const options = { body, headers: { 'content-type': 'application/json' }, signal, timeout: this.#timeoutMs }
    return answerOf(await this.#client.post(path, options).asResponse())
  }

  #checked(answer: Answer): Answer {
    const { status, headers, text, error } = answer
    if (status < 200 || status > 299) throw this.failures.ofStatus({ status, headers, body: text })
    if (error) throw this.failures.broken('the answer ends early or has no end', text, error)
    return answer
  }

  #failureOf(error: unknown, call: Call): unknown {
    if (error instanceof SituError) return error
    if (call.isOver || error instanceof APIConnectionTimeoutError) {
      return this.failures.make('MODEL_TIMEOUT', `no answer within ${this.#timeoutMs} ms`, { cause: error })
    }
    const cause = error instanceof APIConnectionError ? (error.cause ?? error) : error
    const { code, message } = connectionFailure(cause, this.#client.baseURL)
    return this.failures.make(code, message, { cause })
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

function checkOptions(
  { endpoint, baseUrl, apiKey, parameters }: ClientOptions,
  ownParameters: readonly string[],
): void {
  const invalid = (problem: string) => new SituError('CONFIGURATION_INVALID', `model endpoint ${endpoint}: ${problem}`)
  const url = baseUrl === null ? null : URL.parse(baseUrl)
  if (baseUrl !== null && !/^https?:$/.test(url?.protocol ?? '')) throw invalid('the base URL is no http(s) address')
  if (url?.username || url?.password) throw invalid('the base URL holds a password; use the variable of the key')
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw invalid('the key is empty or holds a character that no header may hold')
  const own = ownParameters.find(name => Object.hasOwn(parameters, name))
  if (own) throw invalid(`the parameter ${own} is set by each call`)
}
