import kafkajs, { Kafka } from 'kafkajs'
import type { Settings } from './options.ts'
import type { SocketFactory } from './sockets.ts'

const { logLevel } = kafkajs

/** kafkajs with these settings. */
export function createClient(settings: Settings, socketFactory: SocketFactory): Kafka {
  return new Kafka({
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    ...(settings.ssl && { ssl: settings.ssl }),
    ...(settings.sasl && { sasl: settings.sasl }),
    socketFactory,
    connectionTimeout: Math.min(3000, settings.requestTimeoutMs),
    authenticationTimeout: 5000,
    requestTimeout: settings.requestTimeoutMs,
    // What is tried again, and how long, is decided here and not in kafkajs.
    retry: { retries: settings.brokers.length, initialRetryTime: 20, maxRetryTime: 200 },
    logLevel: logLevel.WARN,
    logCreator: () => entry => settings.log.debug({ kafkajs: entry.log }, entry.log.message),
  })
}
