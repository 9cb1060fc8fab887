import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { type ErrorCode, messageOf, SituError } from '../../schemas/errors.ts'
import type { RegistryConnection } from '../config/kafka-settings.ts'

/** A schema of ours has a few kilobytes; a registry that sends more than this is none. */
const maxAnswerBytes = 16 * 1024 * 1024
/** Tries of a request that nothing answered: where registry and workers start together, it is often not up yet. */
const tries = 4
const lastPauseMs = 10_000
const tooManyRequests = 429
const mediaType = 'application/vnd.schemaregistry.v1+json'

export interface RegistryClientOptions extends RegistryConnection {
  /** From the request to the last byte of the answer. */
  timeoutMs: number
  /** Wait before the second try; tripled for each further one, up to ten seconds. */
  retryMs: number
  /** How long one that has answered before may be away, while the work waits. */
  outageMs: number
  log: { warn(message: string): void }
}

/** An answer with a status that is no success. */
export class RegistryAnswer extends Error {
  readonly status: number
  /** The registry's own number of the error; null where it is no registry that answers. */
  readonly code: number | null

  constructor(status: number, code: number | null, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** JSON over HTTP with user, CA and a deadline, which Node's fetch has not all of. */
export class RegistryClient {
  readonly agent: HttpAgent
  readonly #options: RegistryClientOptions
  readonly #base: URL
  #hasAnswered = false

  constructor(options: RegistryClientOptions) {
    this.#options = options
    this.#base = new URL(options.url)
    const pooling = { keepAlive: true, maxSockets: 8 }
    this.agent =
      this.#base.protocol === 'https:'
        ? new HttpsAgent({ ...pooling, ...(options.ca && { ca: options.ca }) })
        : new HttpAgent(pooling)
  }

  /** As an error names it. */
  get name(): string {
    return `registry ${this.#base.origin}${this.#base.pathname}`
  }

  /**
   * @param path - Encoded, such as `subjects/situ.page-value/versions`.
   * @returns Null for what the registry does not hold.
   * @throws {SituError} REGISTRY_UNREACHABLE, REGISTRY_UNAUTHORIZED; REGISTRY_REFUSED for any other answer that is no
   * success. See `statusOf`.
   */
  async call(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<unknown> {
    try {
      return await this.#withRetries(() => this.#callOnce(method, path, body))
    } catch (error) {
      if (error instanceof RegistryAnswer && error.status === 404 && error.code !== null) return null
      throw this.translate(error, `${method} ${path}`)
    }
  }

  /** An error of a request as one of ours. */
  translate(error: unknown, what: string): SituError {
    if (error instanceof SituError) return error
    const message = `${this.name}: ${what}: ${messageOf(error) || 'no answer'}`
    return new SituError(codeOf(error), message, { cause: error })
  }

  async #withRetries(call: () => Promise<unknown>): Promise<unknown> {
    const { retryMs, outageMs, log } = this.#options
    const begin = Date.now()
    for (let count = 1; ; count++) {
      try {
        const answer = await call()
        this.#hasAnswered = true
        return answer
      } catch (error) {
        this.#hasAnswered ||= isFinal(error)
        const waits = this.#hasAnswered && Date.now() - begin < outageMs
        if (isFinal(error) || (count >= tries && !waits)) throw error
        const pauseMs = Math.min(lastPauseMs, retryMs * 3 ** (count - 1))
        await new Promise(resolve => {
          const timer = setTimeout(resolve, pauseMs)
          if (count < tries) return
          const seconds = Math.round((Date.now() - begin) / 1000)
          log.warn(`${this.name} has not answered for ${seconds} s; waiting: ${messageOf(error)}`)
          // A run that has ended meanwhile is not held up.
          timer.unref()
        })
      }
    }
  }

  async #callOnce(method: string, path: string, body?: object): Promise<unknown> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs)
    try {
      const response = await this.#send(method, path, body && JSON.stringify(body), signal)
      return await readAnswer(response)
    } catch (error) {
      if (signal.aborted) throw new Error(`no answer in ${this.#options.timeoutMs} ms`, { cause: error })
      throw error
    }
  }

  #send(method: string, path: string, body: string | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    const { auth } = this.#options
    const folder = this.#base.pathname.replace(/\/*$/, '')
    const request = this.#base.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(`${folder}/${path}`, this.#base),
        {
          method,
          agent: this.agent,
          signal,
          headers: {
            accept: `${mediaType}, application/json`,
            ...(body !== undefined && { 'content-type': mediaType }),
          },
          ...(auth && { auth: `${auth.username}:${auth.password}` }),
        },
        resolve,
      )
      sent.on('error', reject)
      sent.end(body)
    })
  }
}

/** The status of the registry's answer that an error comes from; null where there was none. */
export function statusOf({ cause }: SituError): number | null {
  return cause instanceof RegistryAnswer ? cause.status : null
}

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof RegistryAnswer)) return 'REGISTRY_UNREACHABLE'
  if (error.status === 401 || error.status === 403) return 'REGISTRY_UNAUTHORIZED'
  return isFinal(error) && error.code !== null ? 'REGISTRY_REFUSED' : 'REGISTRY_UNREACHABLE'
}

/** The next try would be answered in the same way. */
function isFinal(error: unknown): boolean {
  return error instanceof RegistryAnswer && error.status < 500 && error.status !== tooManyRequests
}

async function readAnswer(response: IncomingMessage): Promise<unknown> {
  const status = response.statusCode ?? 0
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    bytes += chunk.length
    if (bytes > maxAnswerBytes) throw new Error(`an answer of more than ${maxAnswerBytes} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const value = parseJson(text)
  if (status >= 200 && status < 300) {
    if (value === undefined) throw new Error(`status ${status}, but no JSON: ${JSON.stringify(text.slice(0, 80))}`)
    return value
  }
  const { error_code: code, message } = (value ?? {}) as { error_code?: unknown; message?: unknown }
  const { location } = response.headers
  const told = typeof message === 'string' ? message.slice(0, 1000) : location ? `to ${location}` : ''
  throw new RegistryAnswer(status, typeof code === 'number' ? code : null, `status ${status}${told && `, ${told}`}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
