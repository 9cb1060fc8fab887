import { type ErrorCode, messageOf, SituError } from '../../../schemas/errors.ts'

/** What kafkajs puts on its errors; `type` is the broker's own name of an error. */
interface KafkaError extends Error {
  type?: string
  retriable?: boolean
  code?: string | number
  host?: string
  port?: number
}

/** Another producer of the same transactional id has begun. */
const fencedTypes = ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING']

const codes: Readonly<Record<string, ErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'TOPIC_UNKNOWN',
  INVALID_TOPIC_EXCEPTION: 'TOPIC_UNKNOWN',
  MESSAGE_TOO_LARGE: 'RECORD_TOO_LARGE',
  RECORD_LIST_TOO_LARGE: 'RECORD_TOO_LARGE',
  SASL_AUTHENTICATION_FAILED: 'BROKER_AUTHENTICATION',
  UNSUPPORTED_SASL_MECHANISM: 'BROKER_AUTHENTICATION',
  ILLEGAL_SASL_STATE: 'BROKER_AUTHENTICATION',
  TOPIC_AUTHORIZATION_FAILED: 'BROKER_UNAUTHORIZED',
  GROUP_AUTHORIZATION_FAILED: 'BROKER_UNAUTHORIZED',
  CLUSTER_AUTHORIZATION_FAILED: 'BROKER_UNAUTHORIZED',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'BROKER_UNAUTHORIZED',
}

/** The error that kafkajs has wrapped, often twice. */
export function rootOf(error: unknown): KafkaError {
  let root = error as KafkaError
  for (let depth = 0; depth < 5 && root?.cause instanceof Error; depth++) {
    if (root.type !== undefined) break
    root = root.cause as KafkaError
  }
  return root
}

export function typeOf(error: unknown): string | undefined {
  return rootOf(error)?.type
}

export function isFenced(error: unknown): boolean {
  return fencedTypes.includes(typeOf(error) ?? '')
}

/** Broker or network may answer a moment later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof SituError) return error.code === 'BROKER_UNREACHABLE'
  const root = rootOf(error)
  if (!root || typeof root !== 'object' || isRefusal(root)) return false
  if (root.type !== undefined) return root.retriable === true || passingTypes.includes(root.type)
  // kafkajs marks errors of the connection, of the metadata and of its own locks in several ways.
  return root.name?.startsWith('KafkaJS') || isNetworkError(root) || isMute(root)
}

/**
 * The first answer of a broker, which tells what requests it knows, came too late: kafkajs counts the broker as connected
 * from then on, never asks again, and can send it nothing.
 */
export function isMute(error: unknown): boolean {
  return rootOf(error)?.message === 'Broker not connected'
}

/** Not marked as retriable by kafkajs, though the next coordinator or leader will answer. */
const passingTypes = [
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'BROKER_NOT_AVAILABLE',
  'OFFSET_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_TXN_STATE',
]

const finalNames = ['KafkaJSNotImplemented', 'KafkaJSServerDoesNotSupportApiKey', 'KafkaJSSASLAuthenticationError']

function isRefusal(root: KafkaError): boolean {
  return codes[root.type ?? ''] !== undefined || finalNames.includes(root.name) || isTlsError(root)
}

function isNetworkError({ code }: KafkaError): boolean {
  return typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_)/.test(code)
}

/** The certificate of one side is not good to the other. */
function isTlsError({ code, message }: KafkaError): boolean {
  const text = `${code ?? ''} ${message ?? ''}`
  return /CERT|ERR_TLS|SELF_SIGNED|ERR_SSL_|self.signed|certificate|tlsv1 alert|wrong version number/i.test(text)
}

/** The address of a broker whose connection is gone. */
export function lostBroker(error: unknown): { host: string; port: number } | null {
  const { host, port } = rootOf(error) ?? {}
  return host !== undefined && port !== undefined ? { host, port } : null
}

/** @param where - Who asked for what; begins the message. */
export function toSituError(error: unknown, where: string): SituError {
  if (error instanceof SituError) return error
  const root = rootOf(error)
  const cause = { cause: error }
  const text = root?.type === undefined ? messageOf(root) : `${root.type}: ${messageOf(root)}`
  const known = codes[root?.type ?? '']
  if (known) return new SituError(known, `${where}: ${text}`, cause)
  if (root?.name === 'KafkaJSSASLAuthenticationError' || isTlsError(root)) {
    return new SituError('BROKER_AUTHENTICATION', `${where}: ${text}`, cause)
  }
  return new SituError(isPassing(error) ? 'BROKER_UNREACHABLE' : 'BROKER_REFUSED', `${where}: ${text}`, cause)
}

const invalidTypes = [
  'INVALID_PARTITIONS',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_REPLICA_ASSIGNMENT',
  'INVALID_CONFIG',
  'POLICY_VIOLATION',
]

/** What a broker says against settings of a topic; null for any other error. */
export function messageOfRefusal(error: unknown): string | null {
  const { type, message } = rootOf(error) ?? {}
  return type !== undefined && invalidTypes.includes(type) ? `${type}: ${message}` : null
}
