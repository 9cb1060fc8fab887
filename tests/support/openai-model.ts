import { afterEach } from 'vitest'
import type { ModelRequest } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import { OpenAiModel, type OpenAiOptions } from '../../streams/models/openai.ts'
import { FakeProvider, type Outcome, type Script } from '../fake-provider.ts'

export const key = 'sk-very-secret-0123456789'
const open: FakeProvider[] = []

afterEach(async () => {
  for (const provider of open.splice(0)) await provider.close()
})

export async function provide(script?: Script): Promise<FakeProvider> {
  const provider = await FakeProvider.start(script)
  open.push(provider)
  return provider
}

export function modelAt(baseUrl: string, changes: Partial<OpenAiOptions> = {}): OpenAiModel {
  return new OpenAiModel({
    endpoint: 'fake',
    baseUrl,
    apiKey: key,
    model: 'small',
    parameters: {},
    contextTokens: 8_192,
    replyTokens: 512,
    structuredOutput: 'json_schema',
    timeoutMs: 10_000,
    ...changes,
  })
}

export function requestOf(changes: Partial<ModelRequest> = {}): ModelRequest {
  return {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello there.' },
    ],
    replySchema: { name: 'instruction', schema: { type: 'object', properties: { instruction: { type: 'string' } } } },
    sample: 0,
    signal: new AbortController().signal,
    ...changes,
  }
}

export async function failureOf(call: Promise<unknown>): Promise<SituError> {
  const error: unknown = await call.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof SituError) return error
  throw error
}

export async function failureAt(behaviour: Outcome, changes: Partial<OpenAiOptions> = {}): Promise<SituError> {
  const { url } = await provide(() => behaviour)
  return failureOf(modelAt(url, changes).complete(requestOf()))
}
