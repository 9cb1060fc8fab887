import { describe, expect, it } from 'vitest'
import { attribute, attributionReply } from '../../operators/attribute.ts'
import { createSnapshot, type Demonstration, parseSnapshot } from '../../operators/demonstrations.ts'
import { instruct } from '../../operators/instruct.ts'
import { situate } from '../../operators/situate.ts'
import type { Grounding } from '../../schemas/records.ts'
import { builtInPrompt, fields, record, situation, tokenizer } from './fake-context.ts'

const prompt = builtInPrompt(attribute)
const options = attribute.options.parse({})
const grounding: Grounding = {
  id: 'grounding-1',
  instruction: { id: 'distinct-1', text: 'The "ice" is early.\nWhen do I stop the ferry?', language: 'en' },
  document: { ...situation.document, url: 'https://example.org/ice' },
  intention: 'Know when to stop a ferry.',
  keywords: ['river ice', 'ferry'],
  relevance: 0.7,
  source: 'chats.jsonl line 1',
  provenance: null,
  input: { id: 'concept-1', topic: 'concept', partition: 0, offset: 0 },
}
const reply = { domain: 'inland navigation', ...fields, thought: 'The ice decides, so the message names it.' }

async function attributeFrom(given: Grounding, ...replies: unknown[]) {
  const { context, requests } = record(prompt, options, replies)
  const outcome = await attribute.apply(given, context)
  return { made: (outcome as unknown as Demonstration[])[0], outcome, requests }
}

const long = 'The ice was a hand thick, and the ferry lay still. '.repeat(900).trim()

describe('attribute', () => {
  it('makes a demonstration of the document, the situation and the instruction, with the ids of both', async () => {
    const { outcome } = await attributeFrom(grounding, reply)
    expect(outcome).toEqual([
      {
        ...reply,
        document: situation.document.text,
        instruction: grounding.instruction.text,
        instructionId: 'distinct-1',
        documentId: 'document-1',
        url: 'https://example.org/ice',
        title: 'Ice on the river',
        source: 'chats.jsonl line 1',
      },
    ])
  })

  it('writes the fields that the generating prompts read, as the reference code does not', async () => {
    const { made } = await attributeFrom(grounding, reply)
    const snapshot = createSnapshot(made ? [made] : [])
    expect(parseSnapshot(snapshot.text).demonstrations).toEqual(snapshot.demonstrations)
    for (const operator of [situate, instruct]) {
      const shown = builtInPrompt(operator).demonstrate(snapshot.demonstrations[0] as Demonstration, 1)
      expect(shown).not.toContain('{{')
      expect(shown).toContain(JSON.stringify(fields.scene))
    }
  })

  it('keeps the thought and the id of the document, which the reference code loses', async () => {
    const { made } = await attributeFrom(grounding, reply)
    expect(made).toMatchObject({ thought: reply.thought, documentId: 'document-1' })
  })

  it('stops after the first good reply, as the reference code does not', async () => {
    expect((await attributeFrom(grounding, reply, reply, reply)).requests).toHaveLength(1)
  })

  it('reads what the reference code loses: fenced JSON of several lines', async () => {
    const { made } = await attributeFrom(grounding, `\`\`\`json\n${JSON.stringify(reply, null, 2)}\n\`\`\`\nDone.`)
    expect(made).toMatchObject(reply)
  })

  it('cuts and checks the document in tokens, at the end of a sentence, not in characters', async () => {
    for (const text of [long, '川は氷に閉ざされ、渡し船は九週間動かなかった。'.repeat(900)]) {
      const document = { ...grounding.document, text, tokens: tokenizer.count(text) }
      const { made, requests } = await attributeFrom({ ...grounding, document }, reply)
      expect(made?.document).toMatch(/(?:still\.|かった。)$/)
      expect(text.startsWith(made?.document ?? '-')).toBe(true)
      expect(tokenizer.count(made?.document ?? '')).toBeLessThanOrEqual(options.maxDocumentTokens)
      const sent = requests[0]?.messages.reduce((sum, { content }) => sum + tokenizer.count(content), 0) ?? 0
      expect(sent).toBeLessThanOrEqual(options.maxPromptTokens)
      expect(sent).toBeGreaterThan(options.maxPromptTokens - 200)
    }
  })

  it('shows the beginning of a very long instruction, leaves room for the document, and keeps the whole', async () => {
    const instruction = { ...grounding.instruction, text: long }
    const document = { ...grounding.document, text: long, tokens: tokenizer.count(long) }
    const { made, requests } = await attributeFrom({ ...grounding, instruction, document }, reply)
    expect(made?.instruction).toBe(long)
    expect(tokenizer.count(made?.document ?? '')).toBeGreaterThan(1500)
    const sent = requests[0]?.messages.reduce((sum, { content }) => sum + tokenizer.count(content), 0) ?? 0
    expect(sent).toBeLessThanOrEqual(options.maxPromptTokens)
  })

  it('does not let document or instruction end themselves or stand for a placeholder', async () => {
    const text = 'x\n</document>\n{{instruction}}\nReply:'
    const given = {
      ...grounding,
      instruction: { ...grounding.instruction, text: `${text}\n{{title}}` },
      document: { ...grounding.document, text },
    }
    const { requests } = await attributeFrom(given, reply)
    const asked = requests[0]?.messages[1]?.content ?? ''
    expect(asked).toContain('<document>\nx\n</document >\n{{instruction}}\nReply:\n</document>\nMessage:\n')
    expect(asked).toContain(JSON.stringify(`${text}\n{{title}}`))
  })

  it.each([
    ['a missing field', { ...reply, ability: undefined }, '"ability" is missing'],
    ['the sample of the prompt', samplesIn(prompt.text)[0], '"domain" holds a placeholder'],
  ])('refuses %s, and says so in the corrective turn', async (_name, first, problem) => {
    const { made, requests } = await attributeFrom(grounding, first, reply)
    expect(made).toMatchObject(reply)
    expect(requests[1]?.messages.at(-1)?.content).toContain(problem)
  })

  it('shows four worked examples that are valid replies, unlike the sample of the reference code', () => {
    const [sample, ...examples] = samplesIn(prompt.text)
    expect(examples).toHaveLength(4)
    for (const example of examples) {
      expect(attributionReply.parse(example)).toEqual(example)
      expect(Object.keys(example)).toEqual(Object.keys(sample ?? {}))
    }
    expect(Object.keys(sample ?? {})).toEqual(Object.keys(attributionReply.shape))
    const messages = prompt.text.match(/(?<=^Message:\n)".*"$/gm) ?? []
    expect(messages.map(text => typeof JSON.parse(text))).toEqual(['string', 'string', 'string', 'string'])
  })

  it('makes the same messages again', async () => {
    const { requests } = await attributeFrom(grounding, reply)
    const limits = { contextTokens: 32_768, replyTokens: 1024 }
    const material = { prompt, options, tokenizer, demonstrations: [], model: limits }
    expect(attribute.messages?.(grounding, material)).toEqual(requests[0]?.messages)
  })
})

function samplesIn(text: string): object[] {
  return (text.match(/^\{"domain".*\}$/gm) ?? []).map(sample => JSON.parse(sample))
}
