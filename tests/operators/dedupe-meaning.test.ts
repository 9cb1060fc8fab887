import { describe, expect, it } from 'vitest'
import { dedupeMeaning } from '../../operators/dedupe-meaning.ts'
import { bytesOf } from '../../operators/embedder.ts'
import { type Context, Drop } from '../../operators/operator.ts'
import type { Embedded } from '../../schemas/records.ts'
import { HashedNgrams, hashedNgrams } from '../../streams/embedders/hashed-ngrams.ts'

const embedder = new HashedNgrams(128)
const ferry = 'Write a short speech for the retirement of a ferry captain who loved the island.'
const speech = 'Write short speeches for the retirement of ferry captains who loved the island.'
const bread = 'How long must a rye loaf rise before it is baked?'

function embedded(text: string, embedding: Partial<Embedded['embedding']> = {}): Embedded {
  const vector = bytesOf(hashedNgrams(text, embedder.dimensions))
  return {
    id: 'e',
    text,
    language: 'en',
    document: null,
    source: 'chats.jsonl line 3',
    embedding: { embedder: embedder.name, dimensions: embedder.dimensions, vector, ...embedding },
    provenance: null,
    input: { id: 'd', topic: 'distinct', partition: 0, offset: 0 },
  }
}

function stage(given: object = {}) {
  const options = dedupeMeaning.options.parse(given)
  const index = dedupeMeaning.createIndex?.(options, { embedder: embedder.name })
  if (!index) throw new Error('no index')
  const apply = (record: Embedded, id: string) =>
    dedupeMeaning.apply(record, { id, options, index, embedder } as unknown as Context<typeof options, Float32Array>)
  return { index, apply }
}

describe('dedupe-meaning', () => {
  it('passes an instruction on without its vector', async () => {
    const { id: _id, input: _input, embedding: _embedding, provenance: _provenance, ...fields } = embedded(ferry)
    expect(await stage().apply(embedded(ferry), 'first')).toEqual([fields])
  })

  it('drops one that means the same as an earlier one, and says which and how alike they are', async () => {
    const { apply, index } = stage({ threshold: 0.8 })
    await apply(embedded(ferry), 'first')
    expect(await apply(embedded(bread), 'other')).toHaveLength(1)
    const outcome = await apply(embedded(speech), 'second')
    if (!(outcome instanceof Drop)) throw new Error('kept')
    expect(outcome).toMatchObject({ reason: 'near_duplicate', details: { twin: 'first' } })
    expect(outcome.details.similarity).toBeGreaterThan(0.8)
    expect(outcome.details.similarity).toBeLessThan(1)
    expect(index.size).toBe(2)
  })

  it('follows its threshold, which is 0.85 unless the options say otherwise', async () => {
    expect(dedupeMeaning.options.parse({})).toEqual({ threshold: 0.85 })
    const strict = stage({ threshold: 0.99 })
    await strict.apply(embedded(ferry), 'first')
    expect(await strict.apply(embedded(speech), 'second')).toHaveLength(1)
    for (const threshold of [0.4, 1.1, '0.8'])
      expect(dedupeMeaning.options.safeParse({ threshold }).success).toBe(false)
  })

  it.each([
    [{ embedder: 'another' }, 'made by "another", and this stage compares those of "hashed-ngrams-128"'],
    [{ dimensions: 64 }, '64 dimensions in 512 bytes'],
    [{ vector: Buffer.alloc(512) }, 'a vector of length 0'],
  ])('refuses the vector %j', async (wrong, problem) => {
    const { apply, index } = stage()
    expect(() => apply(embedded(ferry, wrong), 'first')).toThrow(
      expect.objectContaining({ code: 'RECORD_INVALID', message: expect.stringContaining(problem) }),
    )
    expect(index.size).toBe(0)
  })

  it('sends all records to one task', () => {
    expect(dedupeMeaning.route?.(embedded(ferry))).toBe(dedupeMeaning.route?.(embedded(bread)))
  })
})
