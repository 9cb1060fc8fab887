import { describe, expect, it } from 'vitest'
import { embedReal } from '../../operators/embed-real.ts'
import { type Embedder, vectorOf } from '../../operators/embedder.ts'
import type { Context } from '../../operators/operator.ts'
import type { Distinct } from '../../schemas/records.ts'
import { HashedNgrams, hashedNgrams } from '../../streams/embedders/hashed-ngrams.ts'
import { tokenizer } from './fake-context.ts'

const input = { id: 'r', topic: 'real-instruction', partition: 0, offset: 0 }
const document = { id: 'd', url: null, title: 'Ferries', language: 'en', text: 'Nine boats.', tokens: 3 }
const record: Distinct = { id: 'd', text: 'When does the ferry go?', language: 'en', document, source: 'a', input }

/** What the operator makes of the text, and what it asked the embedder for. */
async function work(text: string, given: object = {}, contextTokens: number | null = null) {
  const inner = new HashedNgrams(64)
  const asked: string[] = []
  const embedder: Embedder = {
    name: inner.name,
    dimensions: 64,
    contextTokens,
    embed(texts, signal) {
      asked.push(...texts)
      return inner.embed(texts, signal)
    },
  }
  const options = embedReal.options.parse(given)
  const context = { id: 'd', options, embedder, tokenizer, signal: new AbortController().signal }
  const outcome = await embedReal.apply({ ...record, text }, context as unknown as Context<typeof options>)
  if (!Array.isArray(outcome)) throw new Error('dropped')
  return { asked, outcome }
}

describe('embed-real', () => {
  it('passes an instruction on with its vector, and names what made it', async () => {
    const { outcome, asked } = await work(record.text)
    const { id: _id, input: _input, ...fields } = record
    expect(outcome).toEqual([{ ...fields, embedding: expect.anything(), provenance: null }])
    expect(outcome[0]?.embedding).toMatchObject({ embedder: 'hashed-ngrams-64', dimensions: 64 })
    expect(vectorOf(outcome[0]?.embedding.vector ?? Buffer.alloc(0))).toEqual(hashedNgrams(record.text, 64))
    expect(asked).toEqual([record.text])
  })

  it('cuts a long instruction at the end of a sentence, at what the option or the embedder takes', async () => {
    const sentence = 'The ferry to the island leaves the old harbour at nine each morning. '
    const long = sentence.repeat(40)
    for (const [options, contextTokens] of [
      [{ maxInstructionTokens: 100 }, null],
      [{}, 100],
    ] as const) {
      const [asked = ''] = (await work(long, options, contextTokens)).asked
      expect(long.startsWith(asked)).toBe(true)
      expect(asked.trim().endsWith('.')).toBe(true)
      expect(tokenizer.count(asked)).toBeLessThanOrEqual(100)
      expect(tokenizer.count(asked)).toBeGreaterThan(80)
    }
  })

  it('sends no half of a pair of surrogates', async () => {
    expect((await work('Write a poem on \ud83d and ships.')).asked).toEqual(['Write a poem on \ufffd and ships.'])
  })
})
