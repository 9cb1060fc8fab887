/**
 * Every error that Situ raises by itself.
 *
 * - `retryable`: the same call may work a moment later; the task loop tries again with a backoff.
 * - `stops`: `record` becomes a dead letter and the stage goes on; `task` ends this task, uncommitted; `run` ends the
 *   run, uncommitted, with one line. Nothing is lost by either of the last two: the next run begins at the commit.
 * - `exit`: exit code of the command where the error ends it.
 * - `help`: what a user can do.
 *
 * A retired code is not used again.
 */
export const errorTable = {
  USAGE: { retryable: false, stops: 'run', exit: 2, help: 'See situ COMMAND --help.' },
  CONFIGURATION_INVALID: { retryable: false, stops: 'run', exit: 2, help: 'Mend the named option or key.' },
  CONFIGURATION_CHANGED: {
    retryable: false,
    stops: 'run',
    exit: 2,
    help: 'Undo the change, replay it as a variant beside (situ replay), or accept it with --accept-change.',
  },
  PROMPT_INVALID: {
    retryable: false,
    stops: 'run',
    exit: 2,
    help: 'Mend the prompt file; situ prompt show OPERATOR prints one that works.',
  },
  INPUT_UNREADABLE: { retryable: false, stops: 'run', exit: 1, help: 'Check that the path exists and may be read.' },
  INPUT_NOT_TEXT: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'Binary files are no input; name a format with --format where the guess is wrong.',
  },
  INPUT_NOT_UTF8: { retryable: false, stops: 'record', exit: 1, help: 'Convert the file to UTF-8.' },
  INPUT_MALFORMED: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'Mend the line or the field; --text-field names the field that holds the text.',
  },
  INPUT_CUT: { retryable: false, stops: 'record', exit: 1, help: 'The compressed file ends early: fetch it again.' },
  OUTPUT_UNWRITABLE: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Check that the folder exists and may be written to.',
  },
  RECORD_INVALID: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The message is no Avro record of this topic: see its bytes in situ failed show.',
  },
  RECORD_TOO_LARGE: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'Split the record, or raise --max-record-bytes.',
  },
  SCHEMA_UNKNOWN: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The schema id is not in the registry: was the message written through another one?',
  },
  SCHEMA_INCOMPATIBLE: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Give the new field a default, or change the compatibility level of the subject.',
  },
  REGISTRY_UNREACHABLE: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Nothing usable answers at the registry URL: is it up, and does the path (such as /apis/ccompat/v7) belong to it?',
  },
  REGISTRY_UNAUTHORIZED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The registry refuses user or password: check --registry-user, and SITU_REGISTRY_PASSWORD or its file.',
  },
  REGISTRY_REFUSED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The registry refuses the request: see the message. It may be in a mode in which it is only read.',
  },
  TOPIC_UNKNOWN: { retryable: false, stops: 'run', exit: 2, help: 'situ topics lists the topics.' },
  DATA_UNREADABLE: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Check the data folder: rights, free space, and that it is on a local disk.',
  },
  DATA_CORRUPT: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Restore the data folder from a copy, or begin a new one with --data.',
  },
  DATA_VERSION: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Use the version of Situ that wrote the data folder, or a newer one.',
  },
  DATA_IN_USE: { retryable: false, stops: 'run', exit: 1, help: 'End the process that holds it, or wait for it.' },
  DISK_FULL: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Free some space; the next run goes on from the last commit.',
  },
  TRANSPORT_CLOSED: {
    retryable: false,
    stops: 'task',
    exit: 1,
    help: 'The process is ending; the next run goes on from the last commit.',
  },
  TASK_LOST: {
    retryable: false,
    stops: 'task',
    exit: 1,
    help: 'Another worker has taken the task over; nothing is lost.',
  },
  POSITION_LOST: {
    retryable: false,
    stops: 'task',
    exit: 1,
    help: 'The position lies outside the topic: was retention too short, or a topic deleted? --accept-loss goes on behind records that are gone.',
  },
  BROKER_UNREACHABLE: {
    retryable: true,
    stops: 'run',
    exit: 1,
    help: 'No broker answers: check the addresses, TLS and SASL or not, and that the brokers are up.',
  },
  BROKER_AUTHENTICATION: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The brokers refuse user, password or certificate, or theirs is not trusted: check the SASL and TLS options.',
  },
  BROKER_UNAUTHORIZED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The brokers allow this user less: situ check names each missing right, and on what.',
  },
  BROKER_REFUSED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: "The brokers refuse the request: see the message, and the brokers' log.",
  },
  SPENDING_UNREACHABLE: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Redis does not answer: check --spending, and that it is up. The next run goes on from the last commit.',
  },
  SPENDING_REFUSED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'Redis refuses: check user and password (SITU_SPENDING_PASSWORD), its rights, and that it has memory left.',
  },
  MODEL_NEVER_ANSWERED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The endpoint has not answered one call: check base URL, network and that the server is up.',
  },
  MODEL_UNREACHABLE: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'Nothing answers at the base URL: is the server up?',
  },
  MODEL_UNAUTHORIZED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The endpoint refuses the key: check the variable that holds it.',
  },
  MODEL_NOT_FOUND: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The endpoint does not know the model or the path: check model and base URL.',
  },
  MODEL_RATE_LIMITED: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'Calls wait and are made again; requestsPerMinute and tokensPerMinute of a model keep below its limits.',
  },
  MODEL_UNAVAILABLE: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'The endpoint answers others, but failed at this request again and again: situ failed retry later.',
  },
  MODEL_TIMEOUT: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'Raise --model-timeout-seconds, or lower --concurrency.',
  },
  MODEL_RESPONSE_BROKEN: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'The endpoint answered something that its kind of model does not: check its log, and kind of the model.',
  },
  MODEL_REQUEST_REFUSED: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The endpoint refuses the request: see its answer in situ failed show.',
  },
  MODEL_CONTEXT_EXCEEDED: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'Lower maxPromptTokens or maxDocumentTokens of the operator in the configuration.',
  },
  MODEL_CONTENT_FILTERED: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The provider filtered the request or the reply; leave the document out.',
  },
  MODEL_REPLY_INVALID: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The reply is in situ failed show; a better prompt or model helps.',
  },
  MODEL_REPLY_CUT: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'Raise the reply limit (parameter max_tokens).',
  },
  SEARCH_EMPTY: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'No document can be found yet: ingest pages, situ run extract dedupe-document, then situ failed retry.',
  },
  SEARCH_UNREACHABLE: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'The search endpoint does not answer: check baseUrl of search, and that it is up; then situ failed retry.',
  },
  SEARCH_REFUSED: {
    retryable: false,
    stops: 'run',
    exit: 1,
    help: 'The search endpoint refuses the query: does its settings.yml list json among search.formats?',
  },
  SEARCH_RESPONSE_BROKEN: {
    retryable: true,
    stops: 'record',
    exit: 1,
    help: 'The search endpoint answered something that is no list of results: see it in situ failed show.',
  },
  BUDGET_SPENT: {
    retryable: false,
    stops: 'run',
    exit: 3,
    help: 'Raise the limit that the message names, or wait for the next day (UTC); the next run goes on from there.',
  },
  OPERATOR_TIMEOUT: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'The record took longer than --record-timeout-seconds.',
  },
  OPERATOR_BUG: {
    retryable: false,
    stops: 'record',
    exit: 1,
    help: 'A fault of the operator: report it with the stack in situ failed show.',
  },
} as const satisfies Record<string, ErrorEntry>

export interface ErrorEntry {
  retryable: boolean
  stops: 'record' | 'task' | 'run'
  exit: 1 | 2 | 3
  help: string
}

export type ErrorCode = keyof typeof errorTable

/** What a failure leaves for the dead letter: at most one piece of evidence, and named values. */
export interface ErrorDetails {
  cause?: unknown
  /** What to keep: a model's reply, an endpoint's response, the bytes of an input. */
  evidence?: { kind: 'reply' | 'bytes' | 'stack' | 'response'; content: string | Uint8Array }
  /** How long the endpoint asks to wait, in milliseconds. */
  retryAfterMs?: number
}

/** The one error class. Branch on `code`, never on `message`; the message names who, which rule and which value. */
export class SituError extends Error {
  override readonly name = 'SituError'
  readonly code: ErrorCode
  readonly evidence: ErrorDetails['evidence']
  readonly retryAfterMs: number | undefined
  /** When the endpoint of a failed call last answered any; null where it never has, undefined where nobody knows. */
  endpointAnsweredAt: number | null | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.evidence = details.evidence
    this.retryAfterMs = details.retryAfterMs
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable
  }

  get stops(): ErrorEntry['stops'] {
    return errorTable[this.code].stops
  }
}

/** Whether the error is that of one record, as opposed to one of registry, log or run, by which others would end too. */
export function isOfRecord(error: unknown): error is SituError {
  return error instanceof SituError && error.stops === 'record'
}

/** Text of anything thrown, without its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
