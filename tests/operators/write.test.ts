import { describe, expect, it } from 'vitest'
import { canonicalJson, hash } from '../../operators/hash.ts'
import { write, writePlain } from '../../operators/write.ts'
import { builtInPrompt, document, fields, record, snapshot, tokenizer } from './fake-context.ts'

const written = { ...fields, thought: 'The tide decides.', instruction: 'Plan my last crossing.' }

describe('write', () => {
  const prompt = builtInPrompt(write)
  const options = write.options.parse({})

  it('makes the instruction with its situation in one call', async () => {
    const { context, requests } = record(prompt, options, [written])
    const [made] = (await write.apply(document, context)) as object[]
    expect(requests).toHaveLength(1)
    expect(Object.keys(requests[0]?.replySchema.schema.properties ?? {})).toEqual(Object.keys(written))
    const { id, url, title, language, text } = document
    expect(made).toEqual({
      text: written.instruction,
      thought: written.thought,
      language: null,
      source: null,
      document: { id, url, title, language, text, tokens: tokenizer.count(text) },
      situation: { id: hash('scene', canonicalJson(fields)), ...fields },
    })
  })

  it('shows demonstrations with situation and instruction, and messages() makes the same messages again', async () => {
    const { context, requests, shown } = record(prompt, options, [written])
    await write.apply(document, context)
    const demonstrations = (shown[0] ?? []).flatMap(id => snapshot.demonstrations.find(one => one.id === id) ?? [])
    const asked = requests[0]?.messages[1]?.content ?? ''
    expect(demonstrations.length).toBeGreaterThan(4)
    for (const { user, instruction } of demonstrations) {
      expect(asked).toContain(JSON.stringify(user))
      expect(asked).toContain(JSON.stringify(instruction))
    }
    expect(write.messages?.(document, { prompt, options, tokenizer, demonstrations })).toEqual(requests[0]?.messages)
  })

  it('does not take a reply without a situation', async () => {
    const { thought, instruction } = written
    const { context } = record(prompt, options, [
      { thought, instruction },
      { thought, instruction },
    ])
    await expect(write.apply(document, context)).rejects.toMatchObject({ code: 'MODEL_REPLY_INVALID' })
  })
})

describe('write-plain', () => {
  const prompt = builtInPrompt(writePlain)
  const options = writePlain.options.parse({})

  it('makes an instruction from the document alone: no prompt and no record tells of a situation', async () => {
    const { thought, instruction } = written
    const { context, requests, shown } = record(prompt, options, [{ thought, instruction }])
    const [made] = (await writePlain.apply(document, context)) as object[]
    expect(made).toMatchObject({ text: instruction, thought, situation: null, document: { id: document.id } })
    const asked = requests[0]?.messages.map(({ content }) => content).join('\n') ?? ''
    const demonstrations = (shown[0] ?? []).flatMap(id => snapshot.demonstrations.find(one => one.id === id) ?? [])
    expect(demonstrations.length).toBeGreaterThan(4)
    for (const { user, scene } of demonstrations) {
      expect(asked).not.toContain(JSON.stringify(user))
      expect(asked).not.toContain(JSON.stringify(scene))
    }
    expect(writePlain.messages?.(document, { prompt, options, tokenizer, demonstrations })).toEqual(
      requests[0]?.messages,
    )
  })
})
