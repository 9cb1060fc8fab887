import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

export type { Logger }

/** Logs to stderr: JSON, or readable lines where stderr is a terminal. Keys of models never get in. */
export function createLogger({ settings }: { settings: { logLevel: string } }): Logger {
  const options = {
    level: settings.logLevel,
    base: null,
    redact: { paths: ['apiKey', '*.apiKey', 'headers.authorization', '*.headers.authorization'], remove: true },
  }
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }))
  return pino(options, pretty({ destination: 2, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }))
}
