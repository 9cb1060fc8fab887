import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readReply } from '../../../operators/reply.ts'
import { OpenAiModel } from '../../../streams/models/openai.ts'
import { testModel } from '../../contracts/model.ts'
import { modelServer } from '../../support/model-server.ts'

const timeoutMs = 120_000

function realModel(changes: Partial<{ model: string; contextTokens: number }> = {}): OpenAiModel {
  const { url, model, contextTokens } = modelServer()
  return new OpenAiModel({
    endpoint: 'llama.cpp',
    baseUrl: url,
    apiKey: 'none',
    model,
    parameters: { temperature: 0, max_tokens: 80 },
    contextTokens,
    replyTokens: 80,
    structuredOutput: 'json_schema',
    timeoutMs,
    ...changes,
  })
}

testModel({
  name: 'a real model behind llama.cpp',
  create: async () => realModel(),
  createSlow: async () => realModel(),
  isTiny: true,
  timeoutMs,
})

describe('llama.cpp', { timeout: timeoutMs }, () => {
  // Without a free text, so that it ends whatever the model would like to say.
  const schema = z.object({ colour: z.enum(['red', 'green']), size: z.enum(['small', 'large']) })
  const { signal } = new AbortController()
  const replySchema = { name: 'colour', schema: { ...z.toJSONSchema(schema) } }
  const ask = (content: string) => ({ messages: [{ role: 'user' as const, content }], replySchema, sample: 0, signal })

  it('keeps to the schema of the reply', async () => {
    const { text, finishReason } = await realModel().complete(ask('Name a colour of grass, in few words.'))
    expect(finishReason).toBe('stop')
    expect(readReply(text, finishReason, schema)).toEqual(JSON.parse(text))
  })

  it('tells a prompt that is too long for its context', async () => {
    const call = realModel().complete(ask('The tide tables changed in March. '.repeat(1_000)))
    await expect(call).rejects.toMatchObject({ code: 'MODEL_CONTEXT_EXCEEDED' })
  })
})
