import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkCompatibility } from '../../schemas/compatibility.ts'
import type { CompatibilityLevel, SchemaRegistry } from '../../schemas/registry.ts'
import { expectError, uniqueName } from './transport/fixture.ts'

export interface RegistrySuite {
  name: string
  create(): Promise<{
    /** A client of its own, as another process has it. */
    open(): Promise<SchemaRegistry>
    close(): Promise<void>
  }>
}

type Field = { name: string; type: unknown; default?: unknown; doc?: string; aliases?: string[] }

function record(...fields: Field[]): string {
  return JSON.stringify({ type: 'record', name: 'note', namespace: 'situ.test', fields })
}

const text: Field = { name: 'text', type: 'string' }
const optional: Field = { name: 'language', type: ['null', 'string'], default: null }
const required: Field = { name: 'language', type: 'string' }
const noteOf = (...fields: Field[]): Field => ({ name: 'note', type: { type: 'record', name: 'inner', fields } })

/** Which change of a schema each level takes. */
const changes: [what: string, from: string, to: string, takes: CompatibilityLevel[]][] = [
  ['a new field with a default', record(text), record(text, optional), ['NONE', 'BACKWARD', 'FORWARD', 'FULL']],
  ['a new field without one', record(text), record(text, required), ['NONE', 'FORWARD']],
  ['a field with a default left out', record(text, optional), record(text), ['NONE', 'BACKWARD', 'FORWARD', 'FULL']],
  ['a field without one left out', record(text, required), record(text), ['NONE', 'BACKWARD']],
  ['a type made wider', record({ name: 'n', type: 'int' }), record({ name: 'n', type: 'long' }), ['NONE', 'BACKWARD']],
  ['another type', record({ name: 'n', type: 'int' }), record({ name: 'n', type: 'string' }), ['NONE']],
  ['a string that may be null', record(required), record(optional), ['NONE', 'BACKWARD']],
  ['a new field within a record', record(noteOf(text)), record(noteOf(text, required)), ['NONE', 'FORWARD']],
]

/** The contract of a SchemaRegistry, for every adapter. */
export function testRegistry({ name, create }: RegistrySuite): void {
  describe(`${name} registry`, () => {
    let fixture: Awaited<ReturnType<RegistrySuite['create']>>
    let registry: SchemaRegistry
    beforeEach(async () => {
      fixture = await create()
      registry = await fixture.open()
    })
    afterEach(() => fixture.close())

    it('gives a schema back by its id', async () => {
      const id = await registry.register(uniqueName('subject'), record(text))
      expect(Number.isInteger(id) && id > 0 && id < 2 ** 32).toBe(true)
      expect(JSON.parse(await registry.schema(id))).toEqual(JSON.parse(record(text)))
    })

    it('keeps the id of a schema that it holds, whatever its white space', async () => {
      const subject = uniqueName('subject')
      const id = await registry.register(subject, record(text))
      expect(await registry.register(subject, JSON.stringify(JSON.parse(record(text)), null, 2))).toBe(id)
      expect(await registry.versions(subject)).toHaveLength(1)
    })

    it('keeps the id of an older version', async () => {
      const subject = uniqueName('subject')
      const id = await registry.register(subject, record(text))
      await registry.register(subject, record(text, optional))
      expect(await registry.register(subject, record(text))).toBe(id)
      expect(await registry.versions(subject)).toHaveLength(2)
    })

    it('gives one schema one id under two subjects, and two schemas two', async () => {
      const [left, right] = [uniqueName('subject'), uniqueName('subject')]
      const id = await registry.register(left, record(text))
      expect(await registry.register(right, record(text))).toBe(id)
      expect(await registry.register(right, record(text, optional))).not.toBe(id)
    })

    it('numbers the versions of a subject from 1 on', async () => {
      const subject = uniqueName('subject')
      const ids = [
        await registry.register(subject, record(text)),
        await registry.register(subject, record(text, optional)),
      ]
      const versions = await registry.versions(subject)
      expect(versions.map(({ version, id }) => ({ version, id }))).toEqual([
        { version: 1, id: ids[0] },
        { version: 2, id: ids[1] },
      ])
      expect(versions.map(({ schema }) => JSON.parse(schema))).toEqual([
        JSON.parse(record(text)),
        JSON.parse(record(text, optional)),
      ])
    })

    it('knows no versions of an unknown subject, and names an unknown id', async () => {
      expect(await registry.versions(uniqueName('unknown'))).toEqual([])
      await expectError(() => registry.schema(987_654_321), 'SCHEMA_UNKNOWN', 987_654_321)
    })

    it('has the level BACKWARD until another one is set', async () => {
      const subject = uniqueName('subject')
      expect(await registry.level(subject)).toBe('BACKWARD')
      await registry.setLevel(subject, 'FULL')
      expect(await registry.level(subject)).toBe('FULL')
      expect(await registry.level(uniqueName('subject'))).toBe('BACKWARD')
    })

    for (const [what, from, to, takes] of changes) {
      it.each<CompatibilityLevel>(['NONE', 'BACKWARD', 'FORWARD', 'FULL'])(`${what} at level %s`, async level => {
        const subject = uniqueName('subject')
        await registry.register(subject, from)
        await registry.setLevel(subject, level)
        if (takes.includes(level)) {
          await checkCompatibility(registry, subject, to)
          expect(await registry.register(subject, to)).toBeGreaterThan(0)
        } else {
          await expectError(() => checkCompatibility(registry, subject, to), 'SCHEMA_INCOMPATIBLE', subject, level)
          await expectError(() => registry.register(subject, to), 'SCHEMA_INCOMPATIBLE', subject, level)
          expect(await registry.versions(subject)).toHaveLength(1)
        }
      })
    }

    it('compares with the latest version only', async () => {
      const subject = uniqueName('subject')
      await registry.register(subject, record(text, required))
      await registry.register(subject, record(text))
      await expectError(
        () => registry.register(subject, record(text, { ...required, doc: 'Again.' })),
        'SCHEMA_INCOMPATIBLE',
      )
    })

    it('refuses a text that is no Avro schema', async () => {
      const subject = uniqueName('subject')
      for (const schema of ['', '{', '{"type":"recrod"}', '{"type":"record","name":"a"}', '"unknown"']) {
        await expectError(() => registry.register(subject, schema), 'SCHEMA_INCOMPATIBLE', subject)
      }
      expect(await registry.versions(subject)).toEqual([])
    })

    it('gives each version one number where two processes register at the same time', async () => {
      const other = await fixture.open()
      const subject = uniqueName('subject')
      const schemas = [1, 2, 3, 4].map(number => record(text, { ...optional, doc: `Number ${number}.` }))
      const register = (client: SchemaRegistry) => Promise.all(schemas.map(schema => client.register(subject, schema)))
      const [left, right] = await Promise.all([register(registry), register(other)])
      expect(left).toEqual(right)
      expect(new Set(left).size).toBe(4)
      expect((await registry.versions(subject)).map(({ version }) => version)).toEqual([1, 2, 3, 4])
    })
  })
}
