import type avro from 'avsc'
import { messageOf, SituError } from './errors.ts'
import { isRecord, parseSchema, resolverOf } from './reading.ts'
import type { CompatibilityLevel, SchemaRegistry } from './registry.ts'

/**
 * Checks a new schema against the latest of its subject. BACKWARD: the new one reads what the latest wrote; FORWARD:
 * the latest reads what the new one will write; FULL: both.
 *
 * @throws {SituError} SCHEMA_INCOMPATIBLE, naming subject, level, field and what differs.
 */
export function checkCompatible(
  subject: string,
  level: CompatibilityLevel,
  schema: string,
  latest: string | null,
): void {
  const next = parse(subject, schema)
  if (latest === null || level === 'NONE') return
  const last = parse(subject, latest)
  const problems: string[] = []
  if (level !== 'FORWARD')
    problems.push(...unreadable(next, last).map(text => `the new schema can't read the old: ${text}`))
  if (level !== 'BACKWARD')
    problems.push(...unreadable(last, next).map(text => `the old schema can't read the new: ${text}`))
  if (problems.length === 0) return
  throw new SituError('SCHEMA_INCOMPATIBLE', `subject ${subject}, level ${level}: ${problems.join('; ')}`)
}

/**
 * Whether a registry would take the schema, without giving it one.
 *
 * @throws {SituError} SCHEMA_INCOMPATIBLE
 */
export async function checkCompatibility(registry: SchemaRegistry, subject: string, schema: string): Promise<void> {
  const body = normalSchema(subject, schema)
  const versions = await registry.versions(subject)
  if (versions.some(version => version.schema === body)) return
  checkCompatible(subject, await registry.level(subject), body, versions.at(-1)?.schema ?? null)
}

/** A text for two schemas to be compared by: white space does not count, names, docs and defaults do. */
export function normalSchema(subject: string, schema: string): string {
  parse(subject, schema)
  return JSON.stringify(JSON.parse(schema))
}

function parse(subject: string, schema: string): avro.Type {
  try {
    return parseSchema(schema)
  } catch (cause) {
    throw new SituError('SCHEMA_INCOMPATIBLE', `subject ${subject}: no Avro schema: ${messageOf(cause)}`, { cause })
  }
}

/** What keeps the reader from reading the writer's data; empty where nothing does. */
function unreadable(reader: avro.Type, writer: avro.Type): string[] {
  try {
    resolverOf(reader, writer)
    return []
  } catch (error) {
    const fields = badFields(reader, writer, '', new Set())
    return fields.length > 0 ? fields : [messageOf(error)]
  }
}

/** avsc's errors name types; this finds the fields. */
function badFields(reader: avro.Type, writer: avro.Type, path: string, above: Set<string>): string[] {
  if (!isRecord(reader) || !isRecord(writer)) return []
  // Records may hold themselves.
  const pair = `${reader.name} ${writer.name}`
  if (above.has(pair)) return []
  const within = new Set(above).add(pair)
  return reader.fields.flatMap(field => {
    const name = `${path}${field.name}`
    const names = [field.name, ...field.aliases]
    const written = writer.fields.find(other => names.includes(other.name))
    if (!written) return field.defaultValue() === undefined ? [`field ${name} is missing and has no default`] : []
    try {
      resolverOf(field.type, written.type)
      return []
    } catch (error) {
      const inner = badFields(field.type, written.type, `${name}.`, within)
      return inner.length > 0 ? inner : [`field ${name}: ${messageOf(error)}`]
    }
  })
}
