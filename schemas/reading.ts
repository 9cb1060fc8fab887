import avro from 'avsc'

/** From what a writer has written to records of ours. */
export interface Reading {
  type: avro.Type
  resolver?: avro.Resolver
  /** Puts the default where the writer may leave a field empty. @throws {Error} A field that has none is empty. */
  fill(record: unknown): void
}

/** @throws {Error} The schema is no Avro schema. */
export function parseSchema(schema: object | string): avro.Type {
  return avro.Type.forSchema((typeof schema === 'string' ? JSON.parse(schema) : schema) as avro.Schema)
}

/** Where both are the same. */
export function plainReading(type: avro.Type): Reading {
  return { type, fill: () => {} }
}

/**
 * As Avro has it, records are the same where their names are, whatever their namespaces. A field that is never null here
 * may be one that is null at times there: that shows with each record. Kafka Connect writes most fields so.
 *
 * @throws {Error} The reader can't read what the writer writes.
 */
export function readingOf(schema: object, writer: avro.Type): Reading {
  const reader = parseSchema(schema)
  const opened = isRecord(reader) && isRecord(writer) ? reader.fields.filter(field => mayBeNull(field, writer)) : []
  if (opened.length === 0) return { ...plainReading(reader), resolver: resolverOf(reader, writer) }
  const names = new Set(opened.map(({ name }) => name))
  const type = parseSchema(withNull(schema as RecordSchema, names))
  return { type, resolver: resolverOf(type, writer), fill: record => fillIn(record as Record<string, unknown>, opened) }
}

/** @throws {Error} The reader can't read what the writer writes. */
export function resolverOf(reader: avro.Type, writer: avro.Type): avro.Resolver {
  return reader.createResolver(writer, { ignoreNamespaces: true })
}

export function isRecord(type: avro.Type): type is avro.types.RecordType {
  return type.typeName === 'record' || type.typeName === 'error'
}

interface RecordSchema {
  fields: { name: string; type: unknown; default?: unknown }[]
}

function mayBeNull({ name, type }: avro.types.Field, writer: avro.types.RecordType): boolean {
  const written = writer.fields.find(field => field.name === name)?.type
  return branchesOf(written).includes('null') && branchesOf(type).length === 0
}

/** Of a union; none of any other type. */
function branchesOf(type: avro.Type | undefined): string[] {
  return type && 'types' in type ? (type.types as avro.Type[]).map(({ typeName }) => typeName) : []
}

function withNull(schema: RecordSchema, names: ReadonlySet<string>): object {
  const fields = schema.fields.map(field => {
    // Its default would have to be null; and the writer has the field.
    const { default: _, ...rest } = field
    return names.has(field.name) ? { ...rest, type: ['null', field.type] } : field
  })
  return { ...schema, fields }
}

function fillIn(record: Record<string, unknown>, fields: readonly avro.types.Field[]): void {
  for (const field of fields) {
    if (record[field.name] !== null) continue
    const value: unknown = field.defaultValue()
    if (value === undefined) throw new Error(`field ${field.name} is null`)
    record[field.name] = value
  }
}
