import { readFileSync } from 'node:fs'
import { builtInSnapshot } from '../../operators/demonstrations.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import type { ModelKind, ModelRequest } from '../../operators/model.ts'
import type { Context, Operator } from '../../operators/operator.ts'
import { Prompt } from '../../operators/prompt.ts'
import type { Deduped, Document, Provenance, Situation } from '../../schemas/records.ts'

export const tokenizer = createTokenizer()
export const snapshot = builtInSnapshot()

export const fields = {
  user: 'a ferry pilot',
  motivation: 'the ice is early',
  scene: 'She plans the "last" crossing.\nThe radio is broken.',
  ability: 'plan',
  knowledge: 'ice',
  extraInformation: 'tide table',
  output: 'a plan',
}

export const document: Document = {
  id: 'document-1',
  url: 'https://example.org/ice',
  title: 'Ice on the river',
  text: 'The river froze on the third of November. The ferry lay still for nine weeks.',
  language: 'en',
  source: null,
  input: { id: 'article-1', topic: 'article', partition: 0, offset: 0 },
}

export const situation: Situation = {
  id: 'situation-1',
  document: {
    id: 'document-1',
    url: null,
    title: 'Ice on the river',
    language: 'en',
    text: document.text,
    tokens: tokenizer.count(document.text),
  },
  ...fields,
  provenance: {} as Provenance,
}

/** An instruction that was kept, as the operators behind it get it. */
export const deduped: Deduped = {
  id: 'deduped-1',
  text: 'The river freezes early this year: by which signs do I stop the ferry, and whom do I tell first?',
  thought: 'The ice decides.',
  language: null,
  document: { id: 'document-1', url: 'https://example.org/ice', title: 'Ice', language: 'en' },
  situation: null,
  source: null,
  checks: null,
  provenance: { operator: 'instruct', model: 'stand-in' } as Provenance,
  input: { id: 'i', topic: 'instruction', partition: 0, offset: 7 },
}

export function builtInPrompt({ name, prompt }: Pick<Operator, 'name' | 'prompt'>): Prompt {
  const url = new URL(`../../operators/prompts/${prompt?.file ?? name}.md`, import.meta.url)
  return new Prompt(name, readFileSync(url, 'utf8'), prompt?.fields ?? [])
}

export interface Recording<Options> {
  context: Context<Options>
  requests: Pick<ModelRequest, 'messages' | 'replySchema'>[]
  shown: string[][]
}

/** A context whose model gives the replies in turn and keeps what it was asked. */
export function record<Options>(
  prompt: Prompt,
  options: Options,
  replies: readonly unknown[],
  limits: { contextTokens: number; replyTokens: number; kind?: ModelKind } = {
    contextTokens: 32_768,
    replyTokens: 1024,
  },
  id = 'record-1',
): Recording<Options> {
  const requests: Recording<Options>['requests'] = []
  const shown: string[][] = []
  const context: Context<Options> = {
    id,
    options,
    tokenizer,
    prompt,
    demonstrations: snapshot,
    model: {
      kind: 'chat',
      ...limits,
      async complete(request) {
        const reply = replies[requests.length]
        requests.push(request)
        const text = typeof reply === 'string' ? reply : JSON.stringify(reply)
        return { text, finishReason: 'stop', usage: null, model: 'fake' }
      },
    },
    get index() {
      return undeclared('index')
    },
    get benchmarks() {
      return undeclared('benchmarks')
    },
    get search() {
      return undeclared('search')
    },
    get embedder() {
      return undeclared('embedder')
    },
    sample: 0,
    samples: async (count, make) => {
      if (count !== 1) throw new Error('this context makes one output')
      return [await make(context)]
    },
    showed: ids => shown.push([...ids]),
    signal: new AbortController().signal,
  }
  return { context, requests, shown }
}

function undeclared(name: string): never {
  throw new Error(`no ${name} was declared`)
}
