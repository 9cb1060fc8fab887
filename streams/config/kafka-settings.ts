import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import type { OptionTable, OptionValues } from '../terminal/options.ts'
import type { KafkaOptions, TopicSettings } from '../transports/kafka/options.ts'
import { readCertificates, readKey, readText } from './read-files.ts'

const msPerDay = 86_400_000

const name = (what: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, `expected ${what}: letters, digits, _ and -, dots between`)
    .max(60)
const file = () => z.string().min(1).optional()
const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'expected HOST:PORT')
  .refine(text => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'expected a port up to 65535')

/** Settings of the work on Kafka: a part of the settings in config.ts. */
export const kafkaSettings = {
  brokers: z
    .array(z.string())
    .default([])
    .transform(words => words.flatMap(word => word.split(',')).map(word => word.trim()))
    .pipe(z.array(address))
    .describe('Kafka brokers, HOST:PORT with commas; with them the log is on Kafka, not in the data folder.'),
  registry: z
    .url({ protocol: /^https?$/ })
    .refine(text => !URL.canParse(text) || new URL(text).username === '', 'expected no user in the URL')
    .optional()
    .describe('URL of a Confluent-compatible schema registry; needed with brokers.'),
  prefix: name('a prefix')
    .default('situ')
    .describe('First part of the names of topics on Kafka: situ.page. Workers with one prefix share the work.'),
  tls: z.boolean().default(false).describe('Talk TLS to the brokers; a CA or a client certificate implies it.'),
  caFile: file().describe("CA of the brokers' certificates, PEM; default: those of Node."),
  certFile: file().describe('Client certificate, PEM.'),
  keyFile: file().describe('Key of the client certificate, PEM.'),
  saslMechanism: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
    .optional()
    .describe('How to log in to the brokers.'),
  saslUser: z.string().min(1).optional().describe('User at the brokers.'),
  saslPasswordFile: file().describe('File that holds the password; else it is read from SITU_SASL_PASSWORD.'),
  registryUser: z.string().min(1).optional().describe('User at the registry (basic authentication).'),
  registryPasswordFile: file().describe('File that holds the password; else it is read from SITU_REGISTRY_PASSWORD.'),
  registryCaFile: file().describe("CA of the registry's certificate, PEM; default: that of the brokers."),
  replication: z
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe('Replicas of topics that are made on Kafka; 3 where they shall survive a broker.')
    .meta({ unit: 'replicas' }),
  maxMessageBytes: z
    .int()
    .min(65_536)
    .max(1_073_741_824)
    .optional()
    .describe("Largest message of topics that are made on Kafka; default: the broker's, mostly 1 MiB.")
    .meta({ unit: 'bytes' }),
} satisfies OptionTable

export type KafkaSettings = OptionValues<typeof kafkaSettings>
export type KafkaSettingName = keyof typeof kafkaSettings

/** What every command that opens the log takes. */
export const kafkaSettingNames = Object.keys(kafkaSettings) as KafkaSettingName[]

/** Passwords come from a file or from these; never from a flag or the configuration file, never into a log. */
export const secretVariables = {
  sasl: 'SITU_SASL_PASSWORD',
  registry: 'SITU_REGISTRY_PASSWORD',
  spending: 'SITU_SPENDING_PASSWORD',
} as const

/** How to connect to the registry. */
export interface RegistryConnection {
  url: string
  auth: { username: string; password: string } | null
  /** PEM. */
  ca: string | null
}

type TopicChoices = Pick<KafkaSettings, 'replication' | 'maxMessageBytes'> & {
  readonly partitions: number
  readonly retentionDays?: number | undefined
  readonly retentionBytes?: number | undefined
}

/** What topics are made with, beside partitions and compaction. A record is kept for ever unless told otherwise. */
export function topicSettings(settings: TopicChoices): TopicSettings {
  const { replication, maxMessageBytes, retentionDays, retentionBytes, partitions } = settings
  return {
    replication,
    retentionMs: retentionDays === undefined ? -1 : Math.round(retentionDays * msPerDay),
    ...(maxMessageBytes !== undefined && { maxMessageBytes }),
    config: {
      ...(retentionBytes !== undefined && { 'retention.bytes': String(Math.ceil(retentionBytes / partitions)) }),
    },
  }
}

/** What does not fit together, a line each; nothing is read from files yet. */
export function kafkaProblems(settings: KafkaSettings, environment: NodeJS.ProcessEnv): string[] {
  if (settings.brokers.length === 0) {
    return settings.registry ? ['--registry: needs --brokers; the embedded log has a registry of its own'] : []
  }
  const problems: string[] = []
  const need = (isGiven: unknown, what: string) => {
    if (!isGiven) problems.push(what)
  }
  const hasPassword = (path: string | undefined, kind: keyof typeof secretVariables) =>
    path !== undefined || environment[secretVariables[kind]]
  const { certFile, keyFile, saslMechanism, saslUser, saslPasswordFile, registryUser, registryPasswordFile } = settings
  need(settings.registry, '--brokers: needs --registry, the URL of a Confluent-compatible schema registry')
  if (certFile) need(keyFile, '--cert-file: needs --key-file')
  if (keyFile) need(certFile, '--key-file: needs --cert-file')
  if (saslUser) need(saslMechanism, '--sasl-user: needs --sasl-mechanism')
  if (saslMechanism) {
    need(saslUser, '--sasl-mechanism: needs --sasl-user')
    need(
      hasPassword(saslPasswordFile, 'sasl'),
      `--sasl-mechanism: needs ${secretVariables.sasl} or --sasl-password-file`,
    )
  }
  if (registryUser) {
    const wanted = `${secretVariables.registry} or --registry-password-file`
    need(hasPassword(registryPasswordFile, 'registry'), `--registry-user: needs ${wanted}`)
  }
  return problems
}

/**
 * How to connect to the brokers, with the files read that the settings name.
 *
 * @throws {SituError} INPUT_UNREADABLE, CONFIGURATION_INVALID; both name setting and file.
 */
export function kafkaOptions(settings: KafkaSettings & TopicChoices, environment: NodeJS.ProcessEnv): KafkaOptions {
  const { brokers, prefix, tls, caFile, certFile, keyFile, saslMechanism, saslUser } = settings
  const cert = certFile && readCertificates('--cert-file', certFile)
  const ssl = {
    ...(caFile && { ca: readCertificates('--ca-file', caFile) }),
    ...(cert && keyFile && { cert, key: readKey('--key-file', keyFile, cert) }),
  }
  const password = () => readPassword('sasl', '--sasl-password-file', settings.saslPasswordFile, environment)
  return {
    brokers,
    prefix,
    topicSettings: topicSettings(settings),
    ...((tls || Object.keys(ssl).length > 0) && { ssl: Object.keys(ssl).length > 0 ? ssl : true }),
    ...(saslMechanism &&
      saslUser && {
        sasl: { mechanism: saslMechanism, username: saslUser, password: password() } as NonNullable<
          KafkaOptions['sasl']
        >,
      }),
  }
}

/** @throws {SituError} As kafkaOptions; CONFIGURATION_INVALID without a registry. */
export function registryConnection(settings: KafkaSettings, environment: NodeJS.ProcessEnv): RegistryConnection {
  const { registry, registryUser, registryPasswordFile, registryCaFile, caFile } = settings
  if (!registry) throw new SituError('CONFIGURATION_INVALID', '--brokers: needs --registry')
  const ca = registryCaFile ?? caFile
  return {
    url: registry,
    auth: registryUser
      ? {
          username: registryUser,
          password: readPassword('registry', '--registry-password-file', registryPasswordFile, environment),
        }
      : null,
    ca: ca ? readCertificates(registryCaFile ? '--registry-ca-file' : '--ca-file', ca) : null,
  }
}

function readPassword(
  kind: keyof typeof secretVariables,
  flag: string,
  path: string | undefined,
  environment: NodeJS.ProcessEnv,
): string {
  // Editors end files with a line end.
  const password = path ? readText(flag, path).replace(/\r?\n$/, '') : environment[secretVariables[kind]]
  if (!password)
    throw new SituError('CONFIGURATION_INVALID', `${path ? `${flag} ${path}` : secretVariables[kind]}: is empty`)
  return password
}
