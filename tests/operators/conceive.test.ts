import { describe, expect, it } from 'vitest'
import { conceive, conceptReply } from '../../operators/conceive.ts'
import type { Distinct } from '../../schemas/records.ts'
import { builtInPrompt, record, situation, tokenizer } from './fake-context.ts'

const prompt = builtInPrompt(conceive)
const options = conceive.options.parse({})
const distinct: Distinct = {
  id: 'distinct-1',
  text: 'by wich signs do i stop the ferry when the river freezes? we have Ice on the River by Dahl on board',
  language: 'en',
  document: null,
  source: 'chats.jsonl line 1',
  input: { id: 'r', topic: 'real-instruction', partition: 0, offset: 0 },
}
const reply = { intention: 'Know when to stop a ferry.', keywords: ['river ice', 'Ice on the River', 'ferry'] }

async function conceiveFrom(...replies: unknown[]) {
  const { context, requests } = record(prompt, options, replies)
  return { outcome: await conceive.apply(distinct, context), requests }
}

describe('conceive', () => {
  it('makes a concept that holds the instruction, and what came with it', async () => {
    const { document } = situation
    const { context } = record(prompt, options, [reply])
    const { id, text, language, source } = distinct
    const facts = { instruction: { id, text, language }, ...reply, source }
    expect(await conceive.apply({ ...distinct, document }, context)).toEqual([{ ...facts, document }])
    expect((await conceiveFrom(reply)).outcome).toEqual([{ ...facts, document: null }])
  })

  it('stops after the first good reply, as the reference code does not', async () => {
    expect((await conceiveFrom(reply, reply, reply)).requests).toHaveLength(1)
  })

  it('reads what the reference code loses: fenced JSON of several lines, plain fences and bare JSON', async () => {
    const json = JSON.stringify(reply, null, 2)
    for (const text of [`\`\`\`json\n${json}\n\`\`\``, `\`\`\`\n${json}\n\`\`\``, json]) {
      const { outcome, requests } = await conceiveFrom(text)
      expect(outcome).toMatchObject([reply])
      expect(requests).toHaveLength(1)
    }
  })

  it('keeps titles whole, takes each keyword once, and of many the first five', async () => {
    const keywords = [
      'Ice on the  River',
      'ice on the river',
      ' ferry ',
      '…',
      '',
      'C++',
      'pilot',
      'tide',
      'harbour',
      'rope',
    ]
    expect((await conceiveFrom({ ...reply, keywords })).outcome).toMatchObject([
      { keywords: ['Ice on the River', 'ferry', 'C++', 'pilot', 'tide'] },
    ])
  })

  it.each([
    ['no keywords', { intention: 'Know when to stop.' }, '"keywords" is missing'],
    ['keywords that say nothing', { ...reply, keywords: ['-', ' '] }, '"keywords": holds no word to look for'],
    ['a string of keywords', { ...reply, keywords: 'ice, ferry' }, '"keywords": Invalid input'],
    ['the sample of the prompt', samplesIn(prompt.text)[0], '"keywords": holds no word to look for'],
    ['no intention', { ...reply, intention: 'N/A' }, '"intention" says nothing'],
  ])('refuses %s, and says so in the corrective turn', async (_name, first, problem) => {
    const { outcome, requests } = await conceiveFrom(first, reply)
    expect(outcome).toMatchObject([reply])
    expect(requests[1]?.messages.at(-1)?.content).toContain(problem)
  })

  it('shows five worked examples that are valid replies, unlike the sample of the reference code', () => {
    const [, ...examples] = samplesIn(prompt.text)
    expect(examples).toHaveLength(5)
    for (const example of examples) expect(conceptReply.parse(example)).toEqual(example)
    expect(new Set(examples.flatMap(({ keywords }) => keywords)).size).toBeGreaterThan(20)
  })

  it('makes the same messages again', async () => {
    const { requests } = await conceiveFrom(reply)
    expect(requests[0]?.messages[1]?.content).toContain(`<instruction>\n${distinct.text}\n</instruction>`)
    expect(conceive.messages?.(distinct, { prompt, options, tokenizer, demonstrations: [] })).toEqual(
      requests[0]?.messages,
    )
  })
})

function samplesIn(text: string): { intention: string; keywords: string[] }[] {
  return (text.match(/^\{"intention".*\}$/gm) ?? []).map(sample => JSON.parse(sample))
}
