import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { attributionReply } from '../../../operators/attribute.ts'
import { conceive, conceptReply } from '../../../operators/conceive.ts'
import type { ModelRequest, ReplySchema } from '../../../operators/model.ts'
import { judgementReply } from '../../../operators/moderate/answers.ts'
import { hazards } from '../../../operators/moderate/hazards.ts'
import { Prompt } from '../../../operators/prompt.ts'
import { readReply } from '../../../operators/reply.ts'
import { scoresReply } from '../../../operators/score.ts'
import { documentIn, StandIn } from '../../../streams/models/stand-in.ts'
import { testModel } from '../../contracts/model.ts'

const situationFields = ['user', 'motivation', 'scene', 'ability', 'knowledge', 'extraInformation', 'output']
const instructionFields = ['thought', 'instruction']
const zodOf = (fields: string[]) => z.object(Object.fromEntries(fields.map(name => [name, z.string().trim().min(1)])))
const schemaOf = (name: string, fields: string[]): ReplySchema => ({ name, schema: z.toJSONSchema(zodOf(fields)) })
const situation = schemaOf('situation', situationFields)
const instruction = schemaOf('instruction', instructionFields)
const { signal } = new AbortController()

function requestOf(document: string, replySchema: ReplySchema, sample = 0): ModelRequest {
  const shown = '<document>\nAn example about rivers.\n</document>'
  const content = `${shown}\n\nNow yours.\n\n<document>\n${document}\n</document>\n\nWrite it.`
  return {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content },
    ],
    replySchema,
    sample,
    signal,
  }
}

/** A document of sentences that no other number makes. */
function documentOf(number: number, sentences = 12): string {
  return Array.from(
    { length: sentences },
    (_, index) =>
      `Site ${number * 31 + index} reported ${number * 7 + index * 3} leaks near gate ${(number + index) * 13}.`,
  ).join(' ')
}

async function instructionFor(document: string, sample = 0): Promise<string> {
  const { text } = await new StandIn().complete(requestOf(document, instruction, sample))
  return JSON.parse(text).instruction
}

testModel({
  name: 'StandIn',
  create: async () => new StandIn(),
  createSlow: async () => new StandIn({ latencyMs: 60_000 }),
})

describe('StandIn', () => {
  const documents: [string, string][] = [
    ['an ordinary text', documentOf(1)],
    ['one word', 'Hello'],
    ['one sign', '.'],
    ['nothing', ''],
    ['a huge text', documentOf(2, 5_000)],
    ['a huge text without sentence ends', 'word '.repeat(20_000)],
    ['a huge text without spaces', 'x'.repeat(100_000)],
    ['Chinese', '今天下雨。河水上涨了三米。村民搬到了山上。'.repeat(50)],
    ['emoji', '😀'.repeat(5_000)],
    ['Arabic', 'ارتفع النهر ثلاثة أمتار. انتقل القرويون إلى التل. '.repeat(30)],
    ['lines', '# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n'.repeat(40)],
    ['quotes and backslashes', 'He said "\\frac{1}{2}" and {left}. "string"'],
    ['the mark of a document', 'Use <document> and </document> as tags. Then stop.'],
  ]
  it.each(documents)('answers the schemas of the operators from %s', async (_name, document) => {
    for (const [schema, fields] of [
      [situation, situationFields],
      [instruction, instructionFields],
    ] as const) {
      for (const sample of [0, 1, 2, 3, 4]) {
        const reply = await new StandIn().complete(requestOf(document, schema, sample))
        const value = readReply(reply.text, reply.finishReason, zodOf([...fields]))
        expect(Object.keys(value)).toEqual(fields)
        expect(reply.text.isWellFormed()).toBe(true)
      }
    }
  })

  it.each(documents)(
    'answers the schemas of the operators that judge or work on instructions from %s',
    async (_name, document) => {
      for (const [name, schema] of Object.entries({
        scores: scoresReply,
        moderation: judgementReply(hazards),
        concept: conceptReply,
        attribution: attributionReply,
      })) {
        for (const sample of [0, 1, 2]) {
          const replySchema = { name, schema: z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) }
          const reply = await new StandIn().complete(requestOf(document, replySchema, sample))
          expect(() => readReply(reply.text, reply.finishReason, schema as z.ZodType<object>)).not.toThrow()
        }
      }
    },
  )

  it('finds keywords among the words of the instruction', async () => {
    const text =
      'My sourdough starter smells of acetone since I moved it next to the refrigerator. Should I feed it rye?'
    const fields = conceive.prompt?.fields ?? []
    const file = readFileSync(join(import.meta.dirname, '../../../operators/prompts/conceive.md'), 'utf8')
    const messages = new Prompt('conceive', file, fields).fill({ instruction: text })
    const schema = z.toJSONSchema(conceptReply, { io: 'input', unrepresentable: 'any' })
    for (const sample of [0, 1, 2, 3]) {
      const request = { messages, replySchema: { name: 'concept', schema }, sample, signal }
      const { keywords } = readReply((await new StandIn().complete(request)).text, 'stop', conceptReply)
      for (const keyword of keywords) expect(text).toContain(keyword)
    }
  })

  it('takes for harm what is marked so wherever it stands, and nothing else', async () => {
    const judgement = judgementReply(hazards)
    const schema = z.toJSONSchema(judgement, { io: 'input', unrepresentable: 'any' })
    const flagsOf = async (document: string) => {
      const reply = await new StandIn().complete(requestOf(document, { name: 'moderation', schema }))
      return readReply(reply.text, 'stop', judgement).categories.map(({ category }) => category)
    }
    for (let number = 0; number < 20; number++) expect(await flagsOf(documentOf(number))).toEqual([])
    const marked = `[flag:hate] ${documentOf(1, 400)} [flag:nonsense] [flag:privacy] [flag:hate]`
    expect(await flagsOf(marked)).toEqual(['hate', 'privacy'])
  })

  it('lets most criteria be met, and not all', async () => {
    const replySchema = { name: 'scores', schema: z.toJSONSchema(scoresReply, { io: 'input', unrepresentable: 'any' }) }
    let met = 0
    for (let number = 0; number < 60; number++) {
      const reply = await new StandIn().complete(requestOf(documentOf(number), replySchema))
      met += Object.values(readReply(reply.text, 'stop', scoresReply)).filter(({ score }) => score === 1).length
    }
    expect(met).toBeGreaterThan(60 * 7 * 0.8)
    expect(met).toBeLessThan(60 * 7)
  })

  it('quotes several sentences of the document in the instruction', async () => {
    const document = documentOf(4, 40)
    const sentences = document.match(/Site [^.]*\./g) ?? []
    for (const sample of [0, 1, 2, 3]) {
      const text = await instructionFor(document, sample)
      expect(sentences.filter(sentence => text.includes(sentence)).length).toBeGreaterThan(3)
      expect(text).not.toContain('rivers')
    }
  })

  it('repeats itself for the same messages and sample, and only for them', async () => {
    const document = documentOf(3, 40)
    expect(await instructionFor(document)).toBe(await instructionFor(document))
    expect(await instructionFor(document, 1)).not.toBe(await instructionFor(document))
    expect(await instructionFor(`${document} More.`)).not.toBe(await instructionFor(document))
  })

  it('makes instructions that are no near-duplicates of each other', async () => {
    const numbers = Array.from({ length: 400 }, (_, index) => index)
    const texts = await Promise.all(numbers.map(number => instructionFor(documentOf(number))))
    const shingles = texts.map(text => {
      const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
      return new Set(words.slice(2).map((word, index) => `${words[index]} ${words[index + 1]} ${word}`))
    })
    const near = shingles.filter((one, index) =>
      shingles.slice(0, index).some(other => {
        const shared = one.intersection(other).size
        return shared / (one.size + other.size - shared) >= 0.5
      }),
    )
    const openings = new Set(texts.map(text => text.split(/\s+/).slice(0, 4).join(' ')))
    console.info(`stand-in: ${near.length} of 400 instructions near another one (0.5), ${openings.size} openings`)
    expect(near.length).toBeLessThanOrEqual(4)
    expect(openings.size).toBeGreaterThan(30)
  })

  it('answers an unknown schema by walking it', async () => {
    const schema = z.object({
      score: z.number().int().min(0).max(1),
      label: z.enum(['good', 'bad']),
      tags: z.array(z.string()).min(2).max(3),
      nested: z.object({ analysis: z.string(), sure: z.boolean() }),
      maybe: z.string().nullable(),
      either: z.union([z.number(), z.string()]),
      fixed: z.literal('x'),
    })
    for (const io of ['input', 'output'] as const) {
      const replySchema = { name: 'criteria', schema: z.toJSONSchema(schema, { io, reused: 'ref' }) }
      for (const sample of [0, 1, 2, 3, 4, 5, 6, 7]) {
        const { text } = await new StandIn().complete(requestOf(documentOf(1), replySchema, sample))
        expect(() => schema.parse(JSON.parse(text))).not.toThrow()
      }
    }
  })

  it('ends on a schema that refers to itself', async () => {
    const schema = { type: 'object', properties: { inner: { $ref: '#' }, loop: { $ref: '#/properties/loop' } } }
    const { text } = await new StandIn().complete(requestOf('Hello.', { name: 'loop', schema }))
    expect(JSON.parse(text)).toHaveProperty('inner')
  })

  it('names itself in every reply', async () => {
    const model = new StandIn()
    expect((await model.complete(requestOf('Hello.', instruction))).model).toBe('stand-in')
    expect([model.model, model.endpoint]).toEqual(['stand-in', 'stand-in'])
  })
})

describe('documentIn', () => {
  it.each([
    ['the last block', [['user', '<document>\nA\n</document>\n<document>\nB\n</document>']], 'B'],
    [
      'the block before later turns',
      [
        ['user', '<document>\nA\n</document>'],
        ['assistant', 'x'],
        ['user', 'again'],
      ],
      'A',
    ],
    ['a block, not the words about it', [['user', '<document>\nA\n</document>\nUse <document> and </document>.']], 'A'],
    [
      'the last user message where there is no block',
      [
        ['system', 's'],
        ['user', ' plain '],
        ['assistant', 'x'],
      ],
      'plain',
    ],
    ['nothing', [], ''],
  ] as const)('takes %s', (_name, turns, wanted) => {
    expect(documentIn(turns.map(([role, content]) => ({ role, content })))).toBe(wanted)
  })
})
