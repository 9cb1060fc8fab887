import kafkajs from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { SituError } from '../../../../schemas/errors.ts'
import { isFenced, isPassing, toSituError } from '../../../../streams/transports/kafka/broker-error.ts'

const { KafkaJSConnectionError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } =
  kafkajs

function protocol(type: string, retriable = false): Error {
  return new KafkaJSProtocolError({ name: '', type, code: 1, retriable, message: `the broker says ${type}` } as never)
}

function wrapped(error: Error): Error {
  return Object.assign(new KafkaJSNonRetriableError(error as never), { cause: error })
}

describe('an error of a broker', () => {
  it.each([
    ['TOPIC_AUTHORIZATION_FAILED', 'BROKER_UNAUTHORIZED'],
    ['GROUP_AUTHORIZATION_FAILED', 'BROKER_UNAUTHORIZED'],
    ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'BROKER_UNAUTHORIZED'],
    ['SASL_AUTHENTICATION_FAILED', 'BROKER_AUTHENTICATION'],
    ['MESSAGE_TOO_LARGE', 'RECORD_TOO_LARGE'],
    ['UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_UNKNOWN'],
    ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'BROKER_REFUSED'],
  ] as const)('%s becomes %s, however deep it is wrapped', (type, code) => {
    const error = protocol(type)
    for (const thrown of [error, wrapped(error), wrapped(wrapped(error))]) {
      const made = toSituError(thrown, 'topic page')
      expect(made).toMatchObject({ code, cause: thrown })
      expect(made.message).toContain('topic page')
      expect(made.message).toContain(type)
      expect(isPassing(thrown)).toBe(false)
    }
  })

  it('of a certificate is one of authentication, not of reach', () => {
    const error = new KafkaJSConnectionError(Object.assign(new Error('self-signed certificate'), {}) as never)
    expect(isPassing(error)).toBe(false)
    expect(toSituError(error, 'brokers').code).toBe('BROKER_AUTHENTICATION')
  })

  it.each([protocol('NOT_LEADER_FOR_PARTITION', true), new KafkaJSConnectionError('Connection timeout' as never)])(
    '%s passes, and is one of reach where it does not',
    error => {
      expect(isPassing(error)).toBe(true)
      expect(toSituError(error, 'brokers').code).toBe('BROKER_UNREACHABLE')
      const given = new KafkaJSNumberOfRetriesExceeded(error as never, { retryCount: 1, retryTime: 1 } as never)
      expect(isPassing(given)).toBe(true)
    },
  )

  it.each(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'])('%s fences, and never passes', type => {
    expect(isFenced(wrapped(protocol(type)))).toBe(true)
    expect(isPassing(protocol(type))).toBe(false)
    expect(isFenced(protocol('NOT_COORDINATOR_FOR_GROUP', true))).toBe(false)
  })

  it('that is one of ours already stays as it is', () => {
    const error = new SituError('TASK_LOST', 'task')
    expect(toSituError(error, 'elsewhere')).toBe(error)
    expect(isPassing(error)).toBe(false)
    expect(isPassing(null)).toBe(false)
    expect(isPassing(new TypeError('of ours'))).toBe(false)
  })
})
