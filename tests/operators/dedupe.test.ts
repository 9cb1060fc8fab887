import { describe, expect, it } from 'vitest'
import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { type DedupeOptions, dedupeDocument, dedupeInstruction, dedupeReal } from '../../operators/dedupe.ts'
import { type Context, Drop } from '../../operators/operator.ts'
import type { Article, Instruction, Provenance, RealInstruction } from '../../schemas/records.ts'

const text =
  'The ferry to the island leaves the old harbour at nine each morning, and it is wise to be there half an hour early.'

function article(fields: Partial<Article> = {}): Article {
  return { id: 'a', url: null, title: null, text, language: null, source: null, input: null, ...fields }
}

const provenance = { operator: 'instruct', version: 1, model: 'stand-in' } as Provenance
const situation = {
  id: 'situation-1',
  user: 'a nurse',
  motivation: 'a trip',
  scene: 'at home',
  ability: 'planning',
  knowledge: 'ferries',
  extraInformation: 'two children',
  output: 'a list',
}

function instruction(fields: Partial<Instruction> = {}): Instruction {
  const document = { id: 'd', url: 'https://example.org/', title: 'Ferries', language: 'en', text, tokens: 25 }
  return {
    id: 'i',
    text,
    thought: 'notes',
    language: null,
    source: null,
    document,
    situation,
    provenance,
    ...fields,
  }
}

function context(id: string, index: StatefulIndex): Context<DedupeOptions> {
  return { id, index } as unknown as Context<DedupeOptions>
}

function indexOf(operator: typeof dedupeDocument | typeof dedupeInstruction, options = {}): StatefulIndex {
  const index = operator.createIndex?.(operator.options.parse(options), { embedder: '' })
  if (!index) throw new Error(`${operator.name} has no index`)
  return index
}

describe('dedupe-document', () => {
  it('passes a new article on and fills its language', async () => {
    const record = article({ url: 'https://example.org/a', title: 'Ferries', source: 'a.jsonl#1' })
    const outcome = await dedupeDocument.apply(record, context('a', indexOf(dedupeDocument)))
    const { id: _id, input: _input, ...fields } = record
    expect(outcome).toEqual([{ ...fields, language: 'en' }])
  })

  it('leaves a language that is given', async () => {
    const index = indexOf(dedupeDocument)
    expect(await dedupeDocument.apply(article({ language: 'sv' }), context('a', index))).toMatchObject([
      { language: 'sv' },
    ])
  })

  it('drops a repeat and names the first', async () => {
    const index = indexOf(dedupeDocument)
    await dedupeDocument.apply(article(), context('first', index))
    const repeated = article({ text: `${text.toUpperCase()}\n` })
    const outcome = await dedupeDocument.apply(repeated, context('second', index))
    expect(outcome).toEqual(new Drop('repeat', { twin: 'first', similarity: 1 }))
  })

  it('keeps near-duplicates unless told otherwise', async () => {
    const near = article({ text: `${text} Bring warm clothes.` })
    const exact = indexOf(dedupeDocument)
    await dedupeDocument.apply(article(), context('first', exact))
    expect(await dedupeDocument.apply(near, context('second', exact))).toHaveLength(1)
    const minhash = indexOf(dedupeDocument, { nearDuplicates: true })
    await dedupeDocument.apply(article(), context('first', minhash))
    const outcome = await dedupeDocument.apply(near, context('second', minhash))
    expect(outcome).toMatchObject({ reason: 'near_duplicate', details: { twin: 'first' } })
  })

  it.each(['', ' \n\t ', '\u200b\ufeff'])('drops the empty text %j, and remembers nothing of it', async empty => {
    const index = indexOf(dedupeDocument)
    expect(await dedupeDocument.apply(article({ text: empty }), context('a', index))).toEqual(new Drop('empty', {}))
    expect(index.size).toBe(0)
  })
})

describe('dedupe-instruction', () => {
  it('passes a new instruction on without the text of its document', async () => {
    const outcome = await dedupeInstruction.apply(instruction(), context('i', indexOf(dedupeInstruction)))
    const document = { id: 'd', url: 'https://example.org/', title: 'Ferries', language: 'en' }
    const rest = { language: null, source: null, situation, provenance, checks: null }
    expect(outcome).toEqual([{ text, thought: 'notes', document, ...rest }])
  })

  it('drops near-duplicates with twin and similarity', async () => {
    const index = indexOf(dedupeInstruction)
    await dedupeInstruction.apply(instruction(), context('first', index))
    const near = instruction({ text: `${text} Bring warm clothes.` })
    const outcome = await dedupeInstruction.apply(near, context('second', index))
    if (!(outcome instanceof Drop)) throw new Error('kept')
    expect(outcome).toMatchObject({ reason: 'near_duplicate', details: { twin: 'first' } })
    expect(outcome.details.similarity).toBeGreaterThan(0.75)
    expect(outcome.details.similarity).toBeLessThan(1)
  })

  it('keeps an instruction about something else', async () => {
    const index = indexOf(dedupeInstruction)
    await dedupeInstruction.apply(instruction(), context('first', index))
    const other = instruction({
      text: 'Write a short speech for the retirement of a colleague who loved sailing boats.',
    })
    expect(await dedupeInstruction.apply(other, context('second', index))).toHaveLength(1)
  })
})

describe('dedupe-real', () => {
  function real(fields: Partial<RealInstruction> = {}): RealInstruction {
    return { id: 'r', text, language: null, document: null, source: 'chats.jsonl line 3', ...fields }
  }

  async function work(records: readonly Partial<RealInstruction>[], given: object = {}) {
    const options = dedupeReal.options.parse(given)
    const index = dedupeReal.createIndex?.(options, { embedder: '' })
    const outcomes = []
    for (const [number, fields] of records.entries()) {
      const working = { id: `r${number}`, index, options } as unknown as Parameters<typeof dedupeReal.apply>[1]
      outcomes.push(await dedupeReal.apply(real(fields), working))
    }
    return { outcomes, index }
  }

  it('passes an instruction on with its document, and tells its language', async () => {
    const document = { id: 'd', url: null, title: 'Ferries', language: 'en', text: 'Nine boats.', tokens: 3 }
    const { outcomes } = await work([{ document }, { text: 'Wann fährt die letzte Fähre zurück?', language: 'eng' }])
    expect(outcomes).toEqual([
      [{ text, language: 'en', document, source: 'chats.jsonl line 3' }],
      [expect.objectContaining({ language: 'de' })],
    ])
  })

  it('drops repeats and near-duplicates with the first as twin, whatever document they came with', async () => {
    const document = { id: 'd', url: null, title: null, language: null, text: 'Nine boats.', tokens: 3 }
    const { outcomes } = await work([{}, { text: text.toUpperCase(), document }, { text: `${text} Bring a coat.` }])
    expect(outcomes.slice(1)).toMatchObject([
      { reason: 'repeat', details: { twin: 'r0' } },
      { reason: 'near_duplicate', details: { twin: 'r0' } },
    ])
  })

  it('drops what is of no use with a reason and what was seen, and remembers nothing of it', async () => {
    const { outcomes, index } = await work(
      [
        { text: 'hi there' },
        { text: 'Which ferry? '.repeat(20) },
        { text: 'Wann fährt die letzte Fähre von der Insel zurück?' },
        { text: 'Write to [insert name] about the ferry.' },
      ],
      { minimumCharacters: 12, maximumCharacters: 200, languages: ['en', 'fr'] },
    )
    expect(outcomes).toEqual([
      new Drop('too_short', { detail: '8 characters; at least 12 are wanted' }),
      new Drop('too_long', { detail: '259 characters; at most 200 are wanted' }),
      new Drop('wrong_language', { detail: 'language de; wanted: en, fr' }),
      new Drop('incomplete', { detail: '[insert name]' }),
    ])
    expect(index?.size).toBe(0)
  })

  it('keeps a text whose language can not be told, and all languages unless some are named', async () => {
    const unknown = { text: 'xq-17 zzrk 44/9 vvb 3.1 pqk' }
    expect((await work([unknown], { languages: ['en'] })).outcomes).toEqual([[expect.objectContaining(unknown)]])
    expect((await work([{ text: 'Wann fährt die letzte Fähre zurück?' }])).outcomes[0]).toHaveLength(1)
  })

  it('counts a letter of a script without spaces as three', async () => {
    expect((await work([{ text: '短歌の作り方を教えて' }])).outcomes[0]).toHaveLength(1)
  })

  it('declares every reason that it drops for', () => {
    const own = ['too_short', 'too_long', 'wrong_language', 'incomplete']
    expect(dedupeReal.reasons).toEqual(['empty', ...own, 'repeat', 'near_duplicate'])
  })
})

describe.each([dedupeDocument, dedupeInstruction])('$name', operator => {
  it('declares every reason that it drops for', () => {
    expect(operator.reasons).toEqual(['empty', 'repeat', 'near_duplicate'])
  })

  it.each([{ threshold: 0.4 }, { threshold: 1.1 }, { threshold: '0.8' }, { nearDuplicate: true }])(
    'refuses the options %j',
    options => {
      expect(operator.options.safeParse(options).success).toBe(false)
    },
  )

  it('routes by the text alone', () => {
    const route = (given: string) => operator.route?.({ ...article(), ...instruction(), text: given })
    expect(route('One  text')).toBe(route('one text'))
    expect(route('one text')).not.toBe(route('another text'))
  })
})
