import { z } from 'zod'
import { attributionReply } from '../../operators/attribute.ts'
import { conceptReply } from '../../operators/conceive.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { instructionReply } from '../../operators/instruct.ts'
import { judgementReply } from '../../operators/moderate/answers.ts'
import { hazards } from '../../operators/moderate/hazards.ts'
import { scoresReply } from '../../operators/score.ts'
import { situationReply } from '../../operators/situate.ts'
import { Random } from '../models/stand-in/random.ts'
import { documentIn, StandIn } from '../models/stand-in.ts'
import type { ChatRequest, Reply, Route } from './behaviour.ts'
import { embeddingsBody, textsOf } from './embeddings.ts'
import { moderationsBody } from './moderations.ts'

const charsPerToken = 4
/** Shorter texts may be names or choices, and are never made longer. */
const shortestPaddedChars = 20

/** For calls that tell no schema: an object that every operator finds its fields in. */
const everyField = {
  name: 'every-field',
  schema: {
    type: 'object',
    properties: Object.assign(
      {},
      ...[situationReply, instructionReply, scoresReply, judgementReply(hazards), conceptReply, attributionReply].map(
        reply => z.toJSONSchema(reply, { io: 'input', unrepresentable: 'any' }).properties,
      ),
    ),
  },
}
/** For calls that ask for a plain text. */
const plainText = { name: 'text', schema: { type: 'string' } }

type Counter = (text: string) => number

/** How texts are counted: four characters a token, or exactly as OpenAI's o200k encoding. */
export function createCounter(kind: 'characters' | 'o200k'): Counter {
  if (kind === 'characters') return text => Math.ceil(text.length / charsPerToken)
  const tokenizer = createTokenizer()
  return text => tokenizer.count(text)
}

const { signal } = new AbortController()

/** Makes replies out of what was sent, with the stand-in. */
export class Replies {
  readonly #standIn = new StandIn()
  readonly #count: Counter

  constructor(count: Counter) {
    this.#count = count
  }

  /** @param wantedTokens - Of the reply; a longer one stays as it is. */
  of(route: Route, request: ChatRequest, occurrence: number, wantedTokens: number): Promise<Reply> | Reply {
    if (route === 'chat') return this.#chat(request, occurrence, wantedTokens)
    const promptTokens = textsOf(request.input).reduce((sum, text) => sum + this.#count(text), 0)
    const body = route === 'embeddings' ? embeddingsBody(request, promptTokens) : moderationsBody(request)
    return { text: JSON.stringify(body), finishReason: 'stop', promptTokens, completionTokens: 0 }
  }

  promptTokens({ messages }: ChatRequest): number {
    return messages.reduce((sum, { content }) => sum + this.#count(content), 0)
  }

  async #chat(request: ChatRequest, occurrence: number, wantedTokens: number): Promise<Reply> {
    const { messages } = request
    const sample = sampleOf(request, occurrence)
    const made = await this.#standIn.complete({ messages, replySchema: replySchemaOf(request), sample, signal })
    const own = request.response_format?.type === 'text' ? String(JSON.parse(made.text)) : made.text
    const ownTokens = this.#count(own)
    const text =
      ownTokens < wantedTokens ? pad(own, (wantedTokens - ownTokens) * charsPerToken, documentIn(messages)) : own
    const completionTokens = text === own ? ownTokens : this.#count(text)
    const promptTokens = this.promptTokens(request)
    const limit = request.max_completion_tokens ?? request.max_tokens
    if (typeof limit !== 'number' || completionTokens <= limit) {
      return { text, finishReason: 'stop', promptTokens, completionTokens }
    }
    const kept = Math.floor((text.length * limit) / completionTokens)
    return { text: text.slice(0, kept), finishReason: 'length', promptTokens, completionTokens: limit }
  }
}

function replySchemaOf({ response_format: format }: ChatRequest): { name: string; schema: Record<string, unknown> } {
  if (format?.json_schema) return { name: format.json_schema.name, schema: format.json_schema.schema }
  return format?.type === 'text' ? plainText : everyField
}

/** A call that samples gets another reply each time; a seed says which. */
function sampleOf({ seed, temperature }: ChatRequest, occurrence: number): number {
  if (typeof seed === 'number') return seed
  return typeof temperature === 'number' && temperature > 0 ? occurrence - 1 : 0
}

/** Adds about so many characters of the document to the texts of a reply, to the longer ones more. */
function pad(text: string, chars: number, document: string): string {
  const parsed: unknown = JSON.parse(text.startsWith('{') ? text : JSON.stringify(text))
  if (typeof parsed === 'string') return `${parsed} ${filler(document, 0, chars)}`
  let total = 0
  const measure = (_name: string, value: unknown) => {
    if (isFree(value)) total += value.length
    return value
  }
  JSON.stringify(parsed, measure)
  const random = new Random(text.length)
  return JSON.stringify(parsed, (_name, value: unknown) => {
    if (!isFree(value)) return value
    return `${value} ${filler(document, random.integer(document.length + 1), (chars * value.length) / total)}`
  })
}

function isFree(value: unknown): value is string {
  return typeof value === 'string' && value.length >= shortestPaddedChars
}

function filler(document: string, start: number, chars: number): string {
  const source = document.replace(/["\\{}\s]+/g, ' ').trim() || 'and so on'
  const from = start % source.length
  const repeats = Math.ceil((from + chars) / (source.length + 1)) + 1
  return `${source} `
    .repeat(repeats)
    .slice(from, from + Math.ceil(chars))
    .toWellFormed()
    .trim()
}
