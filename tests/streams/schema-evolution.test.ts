import { afterEach, describe, expect, it } from 'vitest'
import { parseSchema } from '../../schemas/reading.ts'
import { schemas } from '../../schemas/records.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { EmbeddedRegistry } from '../../streams/registries/embedded.ts'
import { openEmbedded } from '../../streams/transports/embedded/index.ts'
import { memoryPipeline, readRecords, toDocument, toyRun, toyStage } from '../support/pipeline.ts'
import { removeFolder, situ, temporaryFolder } from '../support/situ.ts'

type Field = { name: string; type: unknown; default?: unknown }

const own = schemas.article as { fields: Field[] }
/** What a later version of Situ may write: one field more. */
const newer = { ...own, fields: [...own.fields, { name: 'licence', type: ['null', 'string'], default: null }] }
/** What an earlier version wrote: without two fields that have defaults. */
const older = { ...own, fields: own.fields.filter(({ name }) => name !== 'source' && name !== 'language') }

const article = (text: string) => ({
  id: text,
  url: null,
  title: null,
  text,
  language: null,
  source: null,
  input: null,
})

/** Writes with a schema of another version, as another process does. */
async function writeAs({ transport, registry }: Pipeline, schema: object, record: object, key: string): Promise<void> {
  const id = await registry.register('article-value', JSON.stringify(schema))
  const header = Buffer.alloc(5)
  header.writeUInt32BE(id, 1)
  const value = Buffer.concat([header, parseSchema(schema).toBuffer(record)])
  await transport.produce([{ topic: 'article', partition: 0, key, value }])
}

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder)
})

describe('a new optional field', () => {
  it('loses nothing where writers and readers of three versions are side by side', async () => {
    const pipeline = await memoryPipeline()
    const { transport, serde } = pipeline
    for (const round of ['1', '2', '3']) {
      await writeAs(pipeline, newer, { ...article(`newer ${round}`), licence: 'CC0' }, `newer ${round}`)
      await writeAs(pipeline, older, article(`older ${round}`), `older ${round}`)
      const record = article(`own ${round}`)
      await transport.produce([{ topic: 'article', partition: 0, key: record.id, ...serde.encode('article', record) }])
    }
    await toyRun(pipeline, { ...toyStage(record => [toDocument(record)]), name: 'dedupe-document' }).work()
    const texts = (await readRecords(pipeline, 'document')).map(({ text }) => text)
    const written = ['1', '2', '3'].flatMap(round => [`newer ${round}`, `older ${round}`, `own ${round}`])
    expect(texts.sort()).toEqual(written.sort())
    const { operators } = await readStatus(pipeline, await transport.survey('task'))
    expect(operators['dedupe-document']).toMatchObject({ in: 9, done: 9, failed: {} })
  })

  it('is read by a newer reader from what we write, by its default', async () => {
    const { serde } = await memoryPipeline()
    const { value } = serde.encode('article', article('ours'))
    const reader = parseSchema(newer)
    const read = reader.fromBuffer(Buffer.from(value).subarray(5), reader.createResolver(parseSchema(own)))
    expect(read).toMatchObject({ text: 'ours', licence: null })
  })

  it('lets a process of ours start where a newer version is registered already', async () => {
    const pipeline = await memoryPipeline()
    const before = await pipeline.registry.register('article-value', JSON.stringify(own))
    await pipeline.registry.register('article-value', JSON.stringify(newer))
    expect(await pipeline.registry.register('article-value', JSON.stringify(own))).toBe(before)
  })
})

describe('an incompatible change', () => {
  const text = 'field text'
  const changes: [what: string, fields: Field[], told: string][] = [
    ['another type', own.fields.map(field => (field.name === 'text' ? { ...field, type: 'int' } : field)), text],
    ['a new field without a default', own.fields.filter(({ name }) => name !== 'text'), `${text} is missing`],
  ]

  it.each(changes)('is refused at the start, before anything is written: %s', async (_what, fields, told) => {
    const data = temporaryFolder()
    folders.push(data)
    const before = await openEmbedded(data, { create: true, readOnly: false })
    await new EmbeddedRegistry(before.database).register('article-value', JSON.stringify({ ...own, fields }))
    await before.close()
    const words = ['ingest', '-', '--as', 'article', '--format', 'text', '--data', data]
    const { code, stderr } = await situ(words, { input: 'A text of some length.' })
    expect([code, stderr]).toEqual([1, expect.stringContaining('SCHEMA_INCOMPATIBLE')])
    expect(stderr).toContain('subject article-value, level BACKWARD')
    expect(stderr).toContain(told)
    const after = await openEmbedded(data, { create: false, readOnly: true })
    expect((await after.topics()).filter(({ written }) => written !== 0)).toEqual([])
    expect(await new EmbeddedRegistry(after.database).versions('article-value')).toHaveLength(1)
    await after.close()
  })
})
