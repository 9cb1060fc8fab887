import type { RateLimit } from '../../../operators/model.ts'
import { type ErrorCode, type ErrorDetails, messageOf, SituError } from '../../../schemas/errors.ts'
import type { AnswerHeaders } from './fetch-answer.ts'
import { readRateLimits } from './rate-limits.ts'

/** A refusal with a status. */
export interface StatusAnswer {
  status: number
  headers: AnswerHeaders
  body: string
}

const maxMessageChars = 300
/** A shorter key would take ordinary words out of the messages. */
const minKeyChars = 5

interface Asked {
  endpoint: string
  model: string
  apiKey: string
}

/** Errors of one endpoint; the key stands in none of them, whatever the endpoint sends back. */
export class Failures {
  readonly #who: string
  readonly #model: string
  readonly #key: string

  constructor({ endpoint, model, apiKey }: Asked) {
    this.#who = `${endpoint} (${model})`
    this.#model = model
    this.#key = apiKey
  }

  make(code: ErrorCode, problem: string, { cause, ...details }: ErrorDetails = {}): SituError {
    const content = details.evidence?.content
    return new SituError(code, this.#scrub(`model ${this.#who}: ${problem}`), {
      ...details,
      ...(details.evidence && typeof content === 'string'
        ? { evidence: { kind: details.evidence.kind, content: this.#scrub(content) } }
        : {}),
      ...(cause === undefined ? {} : { cause: this.#scrubCause(cause) }),
    })
  }

  broken(problem: string, response: string, cause?: unknown): SituError {
    const evidence = { kind: 'response', content: response } as const
    return this.make('MODEL_RESPONSE_BROKEN', problem, cause === undefined ? { evidence } : { evidence, cause })
  }

  ofStatus({ status, headers, body }: StatusAnswer): StatusFailure {
    const wait = retryAfterMs(headers)
    // A model that is called after what it does, as omni-moderation, is no filter because it is named.
    const said = filterMessage.test(this.#model) ? body.replaceAll(this.#model, '') : body
    const failure = this.make(codeOf(status, said), `status ${status} ${readMessage(body)}`.trim(), {
      evidence: { kind: 'response', content: body },
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
    })
    return new StatusFailure(failure, status, readRateLimits(headers))
  }

  #scrub(text: string): string {
    return this.#key.length < minKeyChars ? text : text.replaceAll(this.#key, '[key]')
  }

  /** Only the messages are kept: the client's errors hold headers and answers. */
  #scrubCause(cause: unknown): Error {
    const inner = cause instanceof Error && cause.cause !== undefined ? `: ${messageOf(cause.cause)}` : ''
    return new Error(this.#scrub(`${messageOf(cause)}${inner}`))
  }
}

/** A refusal with its status, for what comes before the caller. */
export class StatusFailure extends SituError {
  readonly status: number
  /** What the endpoint told of its limits. */
  readonly rateLimits: readonly RateLimit[]

  constructor(failure: SituError, status: number, rateLimits: readonly RateLimit[] = []) {
    super(failure.code, failure.message, {
      ...(failure.evidence ? { evidence: failure.evidence } : {}),
      ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
    })
    this.status = status
    this.rateLimits = rateLimits
  }
}

const formatStatuses = [400, 404, 415, 422, 500, 501]

/** Whether the endpoint refuses the format of the reply, and might take another one. */
export function refusesFormat(error: unknown): boolean {
  if (!(error instanceof StatusFailure) || !formatStatuses.includes(error.status)) return false
  if (error.code === 'MODEL_CONTEXT_EXCEEDED' || error.code === 'MODEL_CONTENT_FILTERED') return false
  const answer = String(error.evidence?.content ?? '')
  return /response[_ ]?format|json[_ ]?(?:schema|object|mode)|structured[_ ]?outputs?|guided|grammar/i.test(answer)
}

const contextMessage =
  /context_length_exceeded|exceed_context_size|context (?:length|window|size)|maximum (?:model |prompt )?context|max_model_len|(?:prompt|input|request|messages?) (?:is|are) too (?:long|large)|too many (?:input )?tokens/i
/** Not every provider says 404. */
const modelMessage =
  /model_not_found|not a valid model|(?:unknown|unsupported|invalid) model\b|\bmodel\b.{0,100}(?:does not exist|not found)/i
const filterMessage =
  /content[_ ](?:filter|policy|management)|responsible ?ai|safety (?:system|policy|filter)|moderation(?!s\b)/i

function codeOf(status: number, body: string): ErrorCode {
  const isRefusal = [400, 403, 413, 422, 451].includes(status)
  if (isRefusal && status !== 403 && contextMessage.test(body)) return 'MODEL_CONTEXT_EXCEEDED'
  if (isRefusal && filterMessage.test(body)) return 'MODEL_CONTENT_FILTERED'
  if ((status === 400 || status === 422) && modelMessage.test(body)) return 'MODEL_NOT_FOUND'
  if (status === 401 || status === 403) return 'MODEL_UNAUTHORIZED'
  if (status === 404) return 'MODEL_NOT_FOUND'
  if (status === 429) return 'MODEL_RATE_LIMITED'
  if (status === 408 || status === 409 || status >= 500) return 'MODEL_UNAVAILABLE'
  return status >= 400 ? 'MODEL_REQUEST_REFUSED' : 'MODEL_RESPONSE_BROKEN'
}

/** What the answer says of itself; servers name it `error.message`, `message` or `detail`. */
function readMessage(body: string): string {
  let said: unknown = body
  try {
    const parsed: unknown = JSON.parse(body)
    const of = (value: unknown, name: string) =>
      value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[name] : undefined
    const error = of(parsed, 'error')
    said = of(error, 'message') ?? error ?? of(parsed, 'message') ?? of(parsed, 'detail') ?? parsed
  } catch {
    // Not JSON: its own text is what it says.
  }
  const text = typeof said === 'string' ? said : JSON.stringify(said)
  return oneLine(text)
}

function oneLine(text: string): string {
  return text.slice(0, maxMessageChars).toWellFormed().replace(/\s+/g, ' ').trim()
}

/** Reads `retry-after-ms`, and `retry-after` in seconds or as a date. */
function retryAfterMs(headers: AnswerHeaders): number | undefined {
  const exact = numberIn(headers.get('retry-after-ms'))
  if (exact !== undefined) return exact
  const header = headers.get('retry-after')
  const seconds = numberIn(header)
  if (seconds !== undefined) return seconds * 1000
  const date = /[a-z]{3}/i.test(header ?? '') ? Date.parse(header ?? '') : Number.NaN
  if (Number.isNaN(date)) return undefined
  // By the endpoint's own clock where it tells it: ours may differ.
  const now = Date.parse(headers.get('date') ?? '')
  return Math.max(0, date - (Number.isNaN(now) ? Date.now() : now))
}

function numberIn(header: string | null | undefined): number | undefined {
  const value = /^\s*\d+(?:\.\d*)?\s*$/.test(header ?? '') ? Number(header) : Number.NaN
  return Number.isFinite(value) ? value : undefined
}

const cutCodes = [
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'HPE_INVALID_CONSTANT',
]

/** Tells an endpoint that can't be reached from one that hung up. */
export function connectionFailure(cause: unknown, baseUrl: string): { code: ErrorCode; message: string } {
  const reasons: string[] = []
  for (let error = cause; error instanceof Error && reasons.length < 8; error = error.cause) {
    reasons.push((error as NodeJS.ErrnoException).code ?? '', error.message)
  }
  const said = reasons.filter(reason => reason !== '' && reason !== 'fetch failed')
  const isCut = said.some(reason => cutCodes.includes(reason) || reason.startsWith('HPE_'))
  const code = isCut ? 'MODEL_RESPONSE_BROKEN' : 'MODEL_UNREACHABLE'
  const problem = isCut ? 'the connection was cut before an answer' : `no connection to ${baseUrl}`
  return { code, message: `${problem} (${oneLine([...new Set(said)].join(': ') || messageOf(cause))})` }
}
