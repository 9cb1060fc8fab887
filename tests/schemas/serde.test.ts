import { describe, expect, it } from 'vitest'
import { type Article, type Records, schemas } from '../../schemas/records.ts'
import type { SchemaRegistry } from '../../schemas/registry.ts'
import { Serde } from '../../schemas/serde.ts'
import { MemoryRegistry } from '../../streams/registries/memory.ts'

const article: Article = {
  id: 'a1',
  url: 'https://example.org/é',
  title: null,
  text: 'Über den Fluss. 今天下雨。 😀',
  language: 'de',
  source: 'pages.jsonl line 3',
  input: { id: 'p1', topic: 'page', partition: 2, offset: 2 ** 52 },
}

/** A registry that counts how often a schema is asked for. */
class CountingRegistry extends MemoryRegistry {
  asked = 0

  override schema(id: number): Promise<string> {
    this.asked++
    return super.schema(id)
  }
}

async function serdeFor(registry: SchemaRegistry): Promise<Serde> {
  const serde = new Serde(registry)
  await serde.register('article-value', 'article')
  return serde
}

/** The article schema with another list of fields. */
function otherSchema(change: (fields: { name: string }[]) => object[]): string {
  const schema = schemas.article as { fields: { name: string }[] }
  return JSON.stringify({ ...schema, fields: change(schema.fields) })
}

/** What a writer with another schema of articles has written. */
async function writtenWith(registry: SchemaRegistry, schema: string, record: object): Promise<Buffer> {
  const { parseSchema } = await import('../../schemas/reading.ts')
  const id = await registry.register('article-value', schema)
  const header = Buffer.alloc(5)
  header.writeUInt32BE(id, 1)
  return Buffer.concat([header, parseSchema(schema).toBuffer(record)])
}

describe('Serde', () => {
  it('gives back what it was given, behind a zero byte and the schema id', async () => {
    const registry = new MemoryRegistry()
    await registry.register('other-value', JSON.stringify(schemas.page))
    const serde = await serdeFor(registry)
    const { value, shared } = serde.encode('article', article)
    expect([...value.subarray(0, 5)]).toEqual([0, 0, 0, 0, 2])
    expect(shared).toBe(article.text)
    expect(await serde.decode('article', value)).toEqual(article)
  })

  it('reads a value that lies in the middle of a larger buffer', async () => {
    const serde = await serdeFor(new MemoryRegistry())
    const { value } = serde.encode('article', article)
    const larger = Buffer.concat([Buffer.from('before'), value, Buffer.from('after')])
    expect(await serde.decode('article', larger.subarray(6, 6 + value.length))).toEqual(article)
  })

  it('reads what an older writer wrote, and asks for its schema once', async () => {
    const registry = new CountingRegistry()
    const { source: _left, ...older } = article
    const value = await writtenWith(
      registry,
      otherSchema(fields => fields.filter(({ name }) => name !== 'source')),
      older,
    )
    const serde = await serdeFor(registry)
    for (let count = 0; count < 3; count++) {
      expect(await serde.decode('article', value)).toEqual({ ...older, source: null })
    }
    expect(registry.asked).toBe(1)
  })

  it('leaves out a field that only a newer writer knows', async () => {
    const registry = new MemoryRegistry()
    const serde = await serdeFor(registry)
    const schema = otherSchema(fields => [...fields, { name: 'added', type: 'string', default: '' }])
    const value = await writtenWith(registry, schema, { ...article, added: 'new' })
    expect(await serde.decode('article', value)).toEqual(article)
  })

  it.each(['org.example', ''])('reads a record of the same name in the namespace %j', async namespace => {
    const registry = new MemoryRegistry()
    const serde = await serdeFor(registry)
    const [schema, record] = [
      { ...schemas.article, namespace },
      { ...article, input: null },
    ]
    expect(await serde.decode('article', await writtenWith(registry, JSON.stringify(schema), record))).toEqual(record)
  })

  describe('a field that may be null for its writer alone', () => {
    const optional = otherSchema(fields =>
      fields.map(field => (/^(id|text)$/.test(field.name) ? { name: field.name, type: ['null', 'string'] } : field)),
    )

    it('is read where it has a value, and is the default where it has none', async () => {
      const registry = new MemoryRegistry()
      const serde = await serdeFor(registry)
      const value = await writtenWith(registry, optional, { ...article, id: null })
      expect(await serde.decode('article', value)).toEqual({ ...article, id: '' })
    })

    it('is told where it has neither value nor default', async () => {
      const registry = new MemoryRegistry()
      const serde = await serdeFor(registry)
      const value = await writtenWith(registry, optional, { ...article, text: null })
      await expect(serde.decode('article', value)).rejects.toMatchObject({
        code: 'RECORD_INVALID',
        message: expect.stringContaining('field text is null'),
        evidence: { kind: 'bytes', content: value },
      })
    })
  })

  it.each([
    ['a type that it does not hold', { ...schemas.article, fields: [{ name: 'text', type: 'other.Text' }] }],
    ['no schema at all', { surprise: true }],
  ])('refuses a message whose schema has %s, with its bytes as evidence', async (_what, schema) => {
    const registry = { schema: async () => JSON.stringify(schema) } as unknown as SchemaRegistry
    const value = Buffer.from([0, 0, 0, 0, 9, 2, 65])
    await expect(new Serde(registry).decode('article', value)).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: expect.stringContaining("schema 9 can't be read"),
      evidence: { kind: 'bytes', content: value },
    })
  })

  it('keeps one resolver for each writer, and none where its schema is ours under another id', async () => {
    const registry = new CountingRegistry()
    const reader = new Serde(registry)
    const { value } = (await serdeFor(registry)).encode('article', article)
    await reader.decode('article', value)
    await reader.decode('article', value)
    expect(registry.asked).toBe(1)
  })

  it('refuses every beginning of a record, and bytes behind its end, with the bytes as evidence', async () => {
    const serde = await serdeFor(new MemoryRegistry())
    const { value } = serde.encode('article', article)
    for (let end = 0; end < value.length; end++) {
      await expect(serde.decode('article', value.subarray(0, end))).rejects.toMatchObject({ code: 'RECORD_INVALID' })
    }
    const longer = Buffer.concat([value, Buffer.from([0])])
    await expect(serde.decode('article', longer)).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: `article: no Avro record of schema 1: the record ends at byte ${value.length} of ${longer.length}`,
      evidence: { kind: 'bytes', content: longer },
    })
  })

  it('refuses a message without a value or without the header', async () => {
    const serde = await serdeFor(new MemoryRegistry())
    for (const value of [null, Buffer.alloc(0), Buffer.from('{"id":"a"}'), Buffer.from([1, 0, 0, 0, 1, 2])]) {
      await expect(serde.decode('article', value)).rejects.toMatchObject({ code: 'RECORD_INVALID' })
    }
  })

  it('refuses a record of another type, and a schema that nobody knows', async () => {
    const registry = new MemoryRegistry()
    const serde = await serdeFor(registry)
    await serde.register('prompt-value', 'prompt')
    const prompt: Records['prompt'] = { id: 'p', kind: 'prompt', operator: null, text: 'x' }
    const { value } = serde.encode('prompt', prompt)
    await expect(serde.decode('article', value)).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: expect.stringMatching(/^article: schema 2 is of another record/),
    })
    const unknown = Buffer.from(value)
    unknown.writeUInt32BE(77, 1)
    await expect(serde.decode('article', unknown)).rejects.toMatchObject({ code: 'SCHEMA_UNKNOWN' })
  })

  it('names the field that is wrong where a record can not be written', async () => {
    const serde = await serdeFor(new MemoryRegistry())
    const wrong = { ...article, text: 7 } as unknown as Article
    expect(() => serde.encode('article', wrong)).toThrow(
      expect.objectContaining({ code: 'RECORD_INVALID', message: expect.stringContaining('text is 7, not string') }),
    )
  })
})
