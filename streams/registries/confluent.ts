import { COMPATIBILITY, SchemaRegistry as ConfluentClient, SchemaType } from '@kafkajs/confluent-schema-registry'
import { z } from 'zod'
import { checkCompatible, normalSchema } from '../../schemas/compatibility.ts'
import { messageOf, SituError } from '../../schemas/errors.ts'
import type { CompatibilityLevel, SchemaRegistry, SchemaVersion } from '../../schemas/registry.ts'
import type { RegistryConnection } from '../config/kafka-settings.ts'
import { RegistryAnswer, RegistryClient, statusOf } from './registry-client.ts'

/** How long an id that the registry does not hold is not asked for again. */
const missingMs = 30_000
const defaultTimeoutMs = 10_000
/** Most unknown ids that are remembered: foreign bytes may look like any number of them. */
const maxMissing = 10_000
/** Statuses by which a registry refuses a schema; the client gives requests that nothing answered the status 400. */
const refusals = [409, 422]

/** Where registries tell their version: Confluent's, then Apicurio's, which lies beside its compatible part. */
const infoPaths = ['v1/metadata/version', '../../registry/v3/system/info', '../../registry/v2/system/info']
const infoAnswer = z.object({ name: z.string().optional(), version: z.string() })

const levels = Object.values(COMPATIBILITY) as [COMPATIBILITY, ...COMPATIBILITY[]]
const levelAnswer = z.object({ compatibilityLevel: z.string().toUpperCase().pipe(z.enum(levels)) })
const schemaAnswer = z.object({ schema: z.string(), schemaType: z.string().optional() })
const versionAnswer = schemaAnswer.extend({ version: z.int(), id: z.int() })
const checkAnswer = z.object({ is_compatible: z.boolean(), messages: z.array(z.string()).optional() })

export interface ConfluentOptions extends RegistryConnection {
  /** Of one request. */
  timeoutMs?: number
  /** Wait before a request that nothing answered is sent again. */
  retryMs?: number
  /** How long the work waits for one that has answered before; default: not at all. */
  outageMs?: number
  /** Is told of such waits. */
  log?: { warn(message: string): void }
  now?: () => number
}

/** A Confluent-compatible registry over HTTP. Schemas by id never change and are kept. */
export class ConfluentRegistry implements SchemaRegistry {
  readonly #client: RegistryClient
  readonly #confluent: ConfluentClient
  readonly #timeoutMs: number
  readonly #now: () => number
  readonly #schemas = new Map<number, Promise<string>>()
  /** Unknown ids, with the time from which on they are asked for again. */
  readonly #missing = new Map<number, number>()
  /** The registration that runs for a subject, if any: the next one compares with what it leaves. */
  readonly #registering = new Map<string, Promise<unknown>>()

  constructor({ timeoutMs = defaultTimeoutMs, retryMs = 250, now = Date.now, ...options }: ConfluentOptions) {
    const { outageMs = 0, log = { warn: () => {} }, ...connection } = options
    this.#timeoutMs = timeoutMs
    this.#now = now
    this.#client = new RegistryClient({ ...connection, timeoutMs, retryMs, outageMs, log })
    this.#confluent = new ConfluentClient({
      host: connection.url.replace(/\/*$/, ''),
      ...(connection.auth && { auth: connection.auth }),
      agent: this.#client.agent,
      retry: { retries: 1, initialRetryTimeInSecs: retryMs / 1000 },
      middlewares: [() => ({ prepareRequest: async next => (await next()).enhance({ timeout: timeoutMs }) })],
    })
  }

  /** Which registry it is, such as `Apicurio Registry 3.0.5`; null where it does not tell. */
  async describe(): Promise<string | null> {
    for (const path of infoPaths) {
      const answer = await this.#client.call('GET', path).catch(() => null)
      const { data } = infoAnswer.safeParse(answer)
      if (data) return `${data.name ?? 'Confluent Schema Registry'} ${data.version}`
    }
    return null
  }

  async register(subject: string, schema: string): Promise<number> {
    const body = normalSchema(subject, schema)
    const known = await this.#find(subject, body)
    if (known !== null) return known
    const before = this.#registering.get(subject) ?? Promise.resolve()
    const registration = before.catch(() => {}).then(() => this.#registerNew(subject, body))
    this.#registering.set(subject, registration)
    try {
      return await registration
    } finally {
      if (this.#registering.get(subject) === registration) this.#registering.delete(subject)
    }
  }

  schema(id: number): Promise<string> {
    const known = this.#schemas.get(id)
    if (known) return known
    const asked = this.#schemaById(id)
    this.#schemas.set(id, asked)
    asked.catch(() => this.#schemas.delete(id))
    return asked
  }

  async versions(subject: string): Promise<SchemaVersion[]> {
    const numbers = z
      .array(z.int())
      .nullable()
      .parse(await this.#client.call('GET', `${pathOf(subject)}/versions`))
    const versions = await Promise.all((numbers ?? []).map(number => this.#version(subject, number)))
    return versions.filter(version => version !== null).sort((left, right) => left.version - right.version)
  }

  async level(subject: string): Promise<CompatibilityLevel> {
    return baseLevel(await this.#level(subject))
  }

  async setLevel(subject: string, level: CompatibilityLevel): Promise<void> {
    await this.#client.call('PUT', `config/${encodeURIComponent(subject)}`, { compatibility: level })
  }

  /** Id of a version that is there. */
  async #find(subject: string, schema: string): Promise<number | null> {
    const found = await this.#client.call('POST', pathOf(subject), { schema })
    return found === null ? null : this.#read(z.object({ id: z.int() }), found).id
  }

  async #registerNew(subject: string, schema: string): Promise<number> {
    const level = await this.#settledLevel(subject)
    const latest = await this.#version(subject, 'latest')
    checkCompatible(subject, baseLevel(level), schema, latest?.schema ?? null)
    if (latest) await this.#askCompatible(subject, level, schema)
    try {
      const call = this.#confluent.register({ type: SchemaType.AVRO, schema }, { subject, compatibility: level })
      return (await this.#within(call)).id
    } catch (error) {
      // Another process may have been quicker with the same schema.
      const found = await this.#find(subject, schema)
      if (found !== null) return found
      throw this.#notRegistered(error, `subject ${subject}, level ${level}`)
    }
  }

  #notRegistered(cause: unknown, what: string): unknown {
    const { status, name } = (cause ?? {}) as { status?: unknown; name?: unknown }
    const isRefused = typeof status === 'number' ? refusals.includes(status) : /^Confluent/.test(String(name))
    if (isRefused) return new SituError('SCHEMA_INCOMPATIBLE', `${what}: ${messageOf(cause)}`, { cause })
    const answer = status === 401 || status === 403 ? new RegistryAnswer(status, status, messageOf(cause)) : cause
    return this.#client.translate(answer, what)
  }

  /** What the registry itself says: it may know more levels and compare with more versions than we do. */
  async #askCompatible(subject: string, level: COMPATIBILITY, schema: string): Promise<void> {
    const path = `compatibility/${pathOf(subject)}/versions/latest?verbose=true`
    let answer: unknown
    try {
      answer = await this.#client.call('POST', path, { schema })
    } catch (cause) {
      if (!(cause instanceof SituError) || cause.code !== 'REGISTRY_REFUSED') throw cause
      throw new SituError('SCHEMA_INCOMPATIBLE', `subject ${subject}: ${cause.message}`, { cause })
    }
    const { is_compatible: isCompatible, messages = [] } = this.#read(checkAnswer.nullable(), answer) ?? {
      is_compatible: true,
    }
    if (isCompatible) return
    const told = messages.join('; ') || 'the registry finds the new schema incompatible with the latest'
    throw new SituError('SCHEMA_INCOMPATIBLE', `subject ${subject}, level ${level}: ${told}`)
  }

  async #schemaById(id: number): Promise<string> {
    const until = this.#missing.get(id)
    if (until === undefined || until <= this.#now()) {
      const found = await this.#client.call('GET', `schemas/ids/${id}`)
      this.#missing.delete(id)
      if (found !== null) return avroText(this.#read(schemaAnswer, found), id)
      if (this.#missing.size >= maxMissing) this.#missing.clear()
      this.#missing.set(id, this.#now() + missingMs)
    }
    throw new SituError('SCHEMA_UNKNOWN', `${this.#client.name} holds no schema ${id}`)
  }

  async #version(subject: string, version: number | 'latest'): Promise<SchemaVersion | null> {
    const found = await this.#client.call('GET', `${pathOf(subject)}/versions/${version}`)
    if (found === null) return null
    const { version: number, id, schema } = this.#read(versionAnswer, found)
    return { version: number, id, schema }
  }

  /** The subject's level, else the registry's; NONE for all is what some registries begin with, so it says nothing. */
  async #level(subject: string): Promise<COMPATIBILITY> {
    const own = await this.#client.call('GET', `config/${encodeURIComponent(subject)}`)
    if (own !== null) return this.#read(levelAnswer, own).compatibilityLevel
    const all = levelAnswer.safeParse(await this.#client.call('GET', 'config'))
    const level = all.success ? all.data.compatibilityLevel : COMPATIBILITY.NONE
    return level === COMPATIBILITY.NONE ? COMPATIBILITY.BACKWARD : level
  }

  /** The level, written down before the first version: some registries give a new subject NONE. */
  async #settledLevel(subject: string): Promise<COMPATIBILITY> {
    const path = `config/${encodeURIComponent(subject)}`
    const level = await this.#level(subject)
    if ((await this.#client.call('GET', path)) !== null) return level
    try {
      await this.#client.call('PUT', path, { compatibility: level })
    } catch (error) {
      // Another process has written it in between; or who may register may not set levels, and it is the registry's.
      if (!(error instanceof SituError) || ![409, 403].includes(statusOf(error) ?? 0)) throw error
    }
    return level
  }

  #read<T>(schema: z.ZodType<T>, answer: unknown): T {
    const parsed = schema.safeParse(answer)
    if (parsed.success) return parsed.data
    const told = JSON.stringify(answer).slice(0, 120)
    throw new SituError('REGISTRY_UNREACHABLE', `${this.#client.name}: no registry answers like this: ${told}`)
  }

  /** The client waits for ever for an answer that is cut off. */
  async #within<T>(call: Promise<T>): Promise<T> {
    const ended = new AbortController()
    const deadline = new Promise<never>((_, reject) => {
      const late = () => reject(new Error(`no answer in ${2 * this.#timeoutMs} ms`))
      const timer = setTimeout(late, 2 * this.#timeoutMs)
      ended.signal.addEventListener('abort', () => clearTimeout(timer))
    })
    try {
      return await Promise.race([call, deadline])
    } finally {
      ended.abort()
    }
  }
}

function pathOf(subject: string): string {
  return `subjects/${encodeURIComponent(subject)}`
}

function baseLevel(level: COMPATIBILITY): CompatibilityLevel {
  return level.replace('_TRANSITIVE', '') as CompatibilityLevel
}

function avroText({ schema, schemaType = 'AVRO' }: z.output<typeof schemaAnswer>, id: number): string {
  if (schemaType === 'AVRO') return schema
  throw new SituError('SCHEMA_UNKNOWN', `schema ${id} of the registry is ${schemaType}, not Avro`)
}
