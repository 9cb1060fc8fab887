/** The SchemaRegistry port. Adapters: streams/registries/. One suite runs on all: tests/contracts/registry.ts. */

export type CompatibilityLevel = 'NONE' | 'BACKWARD' | 'FORWARD' | 'FULL'

export interface SchemaVersion {
  /** 1 for the first of its subject. */
  version: number
  /** Unique in the registry: what stands in the header of each message. */
  id: number
  /** Avro schema as JSON. */
  schema: string
}

export interface SchemaRegistry {
  /**
   * Takes a schema as the newest version of a subject; an equal one keeps its id.
   *
   * @throws {SituError} SCHEMA_INCOMPATIBLE, naming subject, level and what differs.
   */
  register(subject: string, schema: string): Promise<number>
  /** @throws {SituError} SCHEMA_UNKNOWN */
  schema(id: number): Promise<string>
  /** All versions, the oldest first; empty for an unknown subject. */
  versions(subject: string): Promise<SchemaVersion[]>
  /** BACKWARD unless set. */
  level(subject: string): Promise<CompatibilityLevel>
  setLevel(subject: string, level: CompatibilityLevel): Promise<void>
}
