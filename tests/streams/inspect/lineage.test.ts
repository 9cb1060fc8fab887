import { describe, expect, it } from 'vitest'
import type { Noun, Records } from '../../../schemas/records.ts'
import { contentId } from '../../../streams/identity.ts'
import { ancestors, descendants, findRecord, inputOf, keptTwin } from '../../../streams/inspect/lineage.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { memoryPipeline } from '../../support/pipeline.ts'

type Article = Records['article']

async function write<N extends Noun>({ transport, serde }: Pipeline, noun: N, record: Records[N], parent?: string) {
  const { value } = serde.encode(noun, record)
  await transport.produce([{ topic: noun, partition: 0, key: record.id, value, parent: parent ?? null }])
}

function articleOf(id: string, input: Article['input'] = null): Article {
  return { id, url: null, title: null, text: `Text of ${id}.`, language: 'en', source: null, input }
}

function droppedOf(input: string, twin: string | null, operator = 'dedupe-document'): Records['dropped'] {
  const place = { id: input, topic: 'article', partition: 0, offset: 0 }
  const reason = twin === null ? 'unwanted' : 'near_duplicate'
  const id = `${operator} ${input}`
  return {
    id,
    operator,
    variant: 'main',
    reason,
    input,
    twin,
    similarity: twin === null ? null : 0.9,
    detail: null,
    provenance: null,
    place,
  }
}

async function drop(pipeline: Pipeline, input: string, twin: string | null, operator?: string) {
  const dropped = droppedOf(input, twin, operator)
  await write(pipeline, 'dropped', dropped, input)
  return dropped
}

describe('keptTwin', () => {
  it('follows the chain to the record that was kept', async () => {
    const pipeline = await memoryPipeline()
    const first = await drop(pipeline, 'd', 'c')
    await drop(pipeline, 'c', 'b')
    await drop(pipeline, 'b', 'a')
    expect(await keptTwin(pipeline, first)).toBe('a')
  })

  it('is the twin itself where that was kept, or was dropped by another stage or for another reason', async () => {
    const pipeline = await memoryPipeline()
    const first = await drop(pipeline, 'b', 'a')
    expect(await keptTwin(pipeline, first)).toBe('a')
    await drop(pipeline, 'a', 'z', 'another')
    expect(await keptTwin(pipeline, first)).toBe('a')
    await drop(pipeline, 'a', null)
    expect(await keptTwin(pipeline, first)).toBe('a')
  })

  it('is null for what was dropped for no twin, and ends where twins name each other', async () => {
    const pipeline = await memoryPipeline()
    expect(await keptTwin(pipeline, await drop(pipeline, 'x', null))).toBeNull()
    const first = await drop(pipeline, 'a', 'b')
    await drop(pipeline, 'b', 'a')
    expect(await keptTwin(pipeline, first)).toBe('b')
  })
})

describe('lineage', () => {
  it('goes back to the page and forward to everything that became of it', async () => {
    const pipeline = await memoryPipeline()
    const page: Records['page'] = {
      id: 'page',
      url: null,
      title: null,
      content: 'Words.',
      format: 'text',
      source: null,
    }
    await write(pipeline, 'page', page)
    await write(
      pipeline,
      'article',
      articleOf('article', { id: 'page', topic: 'page', partition: 0, offset: 0 }),
      'page',
    )
    await drop(pipeline, 'article', 'other')
    const found = await findRecord(pipeline, 'article')
    if (!found) throw new Error('the article is not found')
    expect((await ancestors(pipeline, found)).map(({ record }) => record.id)).toEqual(['page'])
    const start = await findRecord(pipeline, 'page')
    expect(start && (await descendants(pipeline, start))).toMatchObject({
      topic: 'page',
      children: [{ topic: 'article', children: [{ topic: 'dropped', children: [] }] }],
    })
    expect(await findRecord(pipeline, 'nobody')).toBeNull()
  })

  it('ends where a record claims to be made of itself, of a later one or of none', async () => {
    const pipeline = await memoryPipeline()
    const placeAt = (offset: number, topic = 'article') => ({ id: null, topic, partition: 0, offset })
    await write(pipeline, 'article', articleOf('a', placeAt(1)), 'b')
    await write(pipeline, 'article', articleOf('b', placeAt(0)), 'a')
    await write(pipeline, 'article', articleOf('c', placeAt(2)), 'c')
    await write(pipeline, 'article', articleOf('d', placeAt(0, 'no-such-topic')))
    await write(pipeline, 'article', articleOf('e', placeAt(99)))
    const trace = async (id: string) => {
      const found = await findRecord(pipeline, id)
      if (!found) throw new Error(`${id} is not found`)
      expect(inputOf(found)).not.toBeNull()
      return { back: await ancestors(pipeline, found), forward: await descendants(pipeline, found) }
    }
    expect(await trace('a')).toMatchObject({
      back: [{ offset: 1 }],
      forward: { children: [{ offset: 1, children: [] }] },
    })
    expect(await trace('c')).toMatchObject({ back: [], forward: { children: [] } })
    expect((await trace('d')).back).toEqual([])
    expect((await trace('e')).back).toEqual([])
  })
})

describe('findRecord', () => {
  it('finds what a foreign producer wrote by the id made from its content', async () => {
    const pipeline = await memoryPipeline()
    const foreign = { ...articleOf(''), text: 'Text of another.' }
    await write(pipeline, 'article', foreign)
    const id = contentId(foreign.text)
    expect(await findRecord(pipeline, id)).toBeNull()
    await drop(pipeline, id, null)
    expect(await findRecord(pipeline, id)).toMatchObject({ topic: 'article', offset: 0, record: { ...foreign, id } })
  })
})
