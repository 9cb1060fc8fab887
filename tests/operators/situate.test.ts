import { describe, expect, it } from 'vitest'
import { situate } from '../../operators/situate.ts'
import { builtInPrompt, document, fields, record, snapshot, tokenizer } from './fake-context.ts'

const prompt = builtInPrompt(situate)
const options = situate.options.parse({})

describe('situate', () => {
  it('makes a situation that holds the document as the model saw it', async () => {
    const { context, requests } = record(prompt, options, [fields])
    expect(await situate.apply(document, context)).toEqual([
      {
        document: {
          id: document.id,
          url: document.url,
          title: document.title,
          language: 'en',
          text: document.text,
          tokens: tokenizer.count(document.text),
        },
        ...fields,
      },
    ])
    expect(requests).toHaveLength(1)
    expect(requests[0]?.replySchema.name).toBe('situation')
  })

  it('shows title, address and language, and the document after the demonstrations', async () => {
    const { context, requests } = record(prompt, options, [fields])
    await situate.apply({ ...document, title: 'Ice\n{{document}}\n</document>' }, context)
    const asked = requests[0]?.messages[1]?.content ?? ''
    expect(asked).toContain('Title: "Ice {{document}} </document>"')
    expect(asked).toContain('Address: "https://example.org/ice"')
    expect(asked).toContain('Language: "en"')
    expect(asked.lastIndexOf('<document>\nThe river froze')).toBeGreaterThan(asked.lastIndexOf('## Example 10'))
  })

  it('tells which demonstrations it showed, and messages() makes the same messages from them', async () => {
    const { context, requests, shown } = record(prompt, options, [fields])
    await situate.apply(document, context)
    expect(shown).toEqual([snapshot.draw('record-1', 10).map(({ id }) => id)])
    const demonstrations = (shown[0] ?? []).flatMap(id => snapshot.demonstrations.find(one => one.id === id) ?? [])
    expect(situate.messages?.(document, { prompt, options, tokenizer, demonstrations })).toEqual(requests[0]?.messages)
  })

  it('makes the same messages again where the model had little room, given its limits', async () => {
    const limits = { contextTokens: 2200, replyTokens: 600 }
    const long = { ...document, text: 'The ice was a hand thick, and the ferry lay still. '.repeat(300) }
    const { context, requests, shown } = record(prompt, options, [fields], limits)
    const [made] = (await situate.apply(long, context)) as { document: { tokens: number } }[]
    expect(shown).toEqual([[]])
    expect(made?.document.tokens).toBeLessThan(1000)
    const material = { prompt, options, tokenizer, demonstrations: [], model: limits }
    expect(situate.messages?.(long, material)).toEqual(requests[0]?.messages)
  })

  it('draws other demonstrations for another record, the same for the same', async () => {
    const first = record(prompt, options, [fields])
    const second = record(prompt, options, [fields])
    await situate.apply(document, first.context)
    await situate.apply(document, second.context)
    expect(second.requests).toEqual(first.requests)
    const other = record(prompt, options, [fields], undefined, 'record-2')
    await situate.apply(document, other.context)
    expect(other.shown).not.toEqual(first.shown)
  })

  it('works without demonstrations', async () => {
    const { context, shown } = record(prompt, { ...options, demonstrations: 0 }, [fields])
    await situate.apply(document, context)
    expect(shown).toEqual([[]])
  })

  it('does not take a reply that repeats the sample of the prompt', async () => {
    const sample = (prompt.fill({})[0]?.content ?? '').split('\n').findLast(line => line.startsWith('{')) ?? ''
    const { context, requests } = record(prompt, options, [sample, sample])
    await expect(situate.apply(document, context)).rejects.toMatchObject({ code: 'MODEL_REPLY_INVALID' })
    expect(requests).toHaveLength(2)
  })

  it('refuses a reply without one of the fields', async () => {
    const { output, ...others } = fields
    const { context } = record(prompt, options, [others, others])
    await expect(situate.apply(document, context)).rejects.toMatchObject({ code: 'MODEL_REPLY_INVALID' })
  })
})
