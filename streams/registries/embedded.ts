import { checkCompatible, normalSchema } from '../../schemas/compatibility.ts'
import { SituError } from '../../schemas/errors.ts'
import type { CompatibilityLevel, SchemaRegistry, SchemaVersion } from '../../schemas/registry.ts'
import type { Database } from '../sqlite/database.ts'

/** The registry of a data folder, in the same file as its log. */
export class EmbeddedRegistry implements SchemaRegistry {
  readonly #database: Database

  /** @param database - Of the transport that has the folder open. */
  constructor(database: Database) {
    this.#database = database
  }

  async register(subject: string, schema: string): Promise<number> {
    const body = normalSchema(subject, schema)
    // Mostly it is there: then nothing is written, and a folder opened for reading only is enough.
    const known = await this.#database.read(() => this.#find(subject, body))
    return known ?? this.#database.write(() => this.#find(subject, body) ?? this.#insert(subject, body))
  }

  async schema(id: number): Promise<string> {
    const row = await this.#database.read(() =>
      this.#database.statement('SELECT body FROM schema WHERE id = ?').get(id),
    )
    if (!row) throw new SituError('SCHEMA_UNKNOWN', `${this.#database.path}: the registry holds no schema ${id}`)
    return String(row.body)
  }

  versions(subject: string): Promise<SchemaVersion[]> {
    return this.#database.read(() => this.#versions(subject))
  }

  level(subject: string): Promise<CompatibilityLevel> {
    return this.#database.read(() => this.#level(subject))
  }

  async setLevel(subject: string, level: CompatibilityLevel): Promise<void> {
    const sql = 'INSERT INTO subject VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET level = excluded.level'
    await this.#database.write(() => this.#database.statement(sql).run(subject, level))
  }

  #find(subject: string, body: string): number | null {
    return this.#versions(subject).find(({ schema }) => schema === body)?.id ?? null
  }

  /** Compares and inserts in one transaction, so that two processes can't both take the next version. */
  #insert(subject: string, body: string): number {
    const latest = this.#versions(subject).at(-1)
    checkCompatible(subject, this.#level(subject), body, latest?.schema ?? null)
    this.#database.statement('INSERT INTO schema (body) VALUES (?) ON CONFLICT DO NOTHING').run(body)
    const id = Number(this.#database.statement('SELECT id FROM schema WHERE body = ?').get(body)?.id)
    this.#database
      .statement('INSERT INTO subject_version (subject, version, schema) VALUES (?, ?, ?)')
      .run(subject, (latest?.version ?? 0) + 1, id)
    return id
  }

  #versions(subject: string): SchemaVersion[] {
    const sql = `SELECT v.version, v.schema AS id, s.body FROM subject_version v JOIN schema s ON s.id = v.schema
      WHERE v.subject = ? ORDER BY v.version`
    const rows = this.#database.statement(sql).all(subject)
    return rows.map(({ version, id, body }) => {
      return { version: Number(version), id: Number(id), schema: String(body) }
    })
  }

  #level(subject: string): CompatibilityLevel {
    const row = this.#database.statement('SELECT level FROM subject WHERE name = ?').get(subject)
    return (row?.level as CompatibilityLevel | undefined) ?? 'BACKWARD'
  }
}
