import { checkCompatible, normalSchema } from '../../schemas/compatibility.ts'
import { SituError } from '../../schemas/errors.ts'
import type { CompatibilityLevel, SchemaRegistry, SchemaVersion } from '../../schemas/registry.ts'

/** A registry in memory, for tests. */
export class MemoryRegistry implements SchemaRegistry {
  readonly #schemas: string[] = []
  readonly #subjects = new Map<string, SchemaVersion[]>()
  readonly #levels = new Map<string, CompatibilityLevel>()

  async register(subject: string, schema: string): Promise<number> {
    const body = normalSchema(subject, schema)
    const versions = this.#subjects.get(subject) ?? []
    const same = versions.find(version => version.schema === body)
    if (same) return same.id
    checkCompatible(subject, this.#levels.get(subject) ?? 'BACKWARD', body, versions.at(-1)?.schema ?? null)
    let index = this.#schemas.indexOf(body)
    if (index < 0) index = this.#schemas.push(body) - 1
    const next: SchemaVersion = { version: versions.length + 1, id: index + 1, schema: body }
    this.#subjects.set(subject, [...versions, next])
    return next.id
  }

  async schema(id: number): Promise<string> {
    const schema = this.#schemas[id - 1]
    if (schema === undefined) throw new SituError('SCHEMA_UNKNOWN', `the registry holds no schema ${id}`)
    return schema
  }

  async versions(subject: string): Promise<SchemaVersion[]> {
    return [...(this.#subjects.get(subject) ?? [])]
  }

  async level(subject: string): Promise<CompatibilityLevel> {
    return this.#levels.get(subject) ?? 'BACKWARD'
  }

  async setLevel(subject: string, level: CompatibilityLevel): Promise<void> {
    this.#levels.set(subject, level)
  }
}
