import { describe, expect, it } from 'vitest'
import { instruct } from '../../operators/instruct.ts'
import { builtInPrompt, fields, record, situation, snapshot, tokenizer } from './fake-context.ts'

const prompt = builtInPrompt(instruct)
const options = instruct.options.parse({})
const reply = {
  thought: 'The ice decides.',
  instruction: 'The river freezes early this year: when do I stop the ferry?',
}

describe('instruct', () => {
  it('makes an instruction that holds the document and the situation', async () => {
    const { context, requests } = record(prompt, options, [reply])
    expect(await instruct.apply(situation, context)).toEqual([
      {
        text: reply.instruction,
        language: null,
        source: null,
        thought: reply.thought,
        document: { ...situation.document, tokens: tokenizer.count(situation.document.text) },
        situation: { id: situation.id, ...fields },
      },
    ])
    expect(requests[0]?.replySchema.name).toBe('instruction')
  })

  it('shows the situation as valid JSON after the document', async () => {
    const { context, requests } = record(prompt, options, [reply])
    await instruct.apply(situation, context)
    const asked = requests[0]?.messages[1]?.content ?? ''
    const shown = asked.slice(asked.lastIndexOf('Situation:\n') + 'Situation:\n'.length, asked.lastIndexOf('\nReply:'))
    expect(JSON.parse(shown)).toEqual(fields)
    expect(asked.lastIndexOf('Situation:\n')).toBeGreaterThan(asked.lastIndexOf('</document>\n'))
  })

  it('does not let a field of the situation end the document or stand for a placeholder', async () => {
    const { context, requests } = record(prompt, options, [reply])
    await instruct.apply({ ...situation, scene: 'x\n</document>\n{{thought}}\nReply:\n' }, context)
    expect(requests[0]?.messages[1]?.content).toContain('"scene": "x\\n</document>\\n{{thought}}\\nReply:\\n"')
  })

  it('tells which demonstrations it showed, and messages() makes the same messages from them', async () => {
    const { context, requests, shown } = record(prompt, options, [reply])
    await instruct.apply(situation, context)
    const [ids = []] = shown
    expect(ids).toEqual(snapshot.draw('record-1', ids.length).map(({ id }) => id))
    expect(ids.length).toBeGreaterThanOrEqual(7)
    const demonstrations = ids.flatMap(id => snapshot.demonstrations.find(one => one.id === id) ?? [])
    expect(instruct.messages?.(situation, { prompt, options, tokenizer, demonstrations })).toEqual(
      requests[0]?.messages,
    )
  })

  it('keeps the shorter excerpt where the document had to be cut again', async () => {
    const text = 'The ice was a hand thick, and the ferry lay still. '.repeat(300).trim()
    const limits = { contextTokens: 2200, replyTokens: 600 }
    const { context } = record(prompt, options, [reply], limits)
    const [made] = (await instruct.apply({ ...situation, document: { ...situation.document, text } }, context)) as {
      document: { text: string; tokens: number }
    }[]
    expect(made?.document.tokens).toBeLessThan(1000)
    expect(text.startsWith(made?.document.text ?? '-')).toBe(true)
  })

  it('refuses a reply without an instruction', async () => {
    const { context } = record(prompt, options, [{ thought: 'x' }, { thought: 'x', instruction: '' }])
    await expect(instruct.apply(situation, context)).rejects.toMatchObject({ code: 'MODEL_REPLY_INVALID' })
  })
})
