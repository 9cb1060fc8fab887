import { hash } from '../../operators/hash.ts'
import type { ChatMessage, Model, ModelReply, ModelRequest, Parameters } from '../../operators/model.ts'
import { Excerpt } from './stand-in/excerpt.ts'
import { Random } from './stand-in/random.ts'
import { answerSchema } from './stand-in/schema-walk.ts'
import { writers } from './stand-in/writers.ts'

const charsPerToken = 4

/**
 * Makes well-formed replies out of the document's own sentences, without any network. It is no language model: it is
 * for the demo, rehearsals and tests, and its name stands in every record that it made.
 *
 * The reply depends on the messages and the sample number alone.
 */
export class StandIn implements Model {
  readonly endpoint = 'stand-in'
  readonly model = 'stand-in'
  readonly parameters: Parameters = {}
  readonly contextTokens = 131_072
  readonly replyTokens = 2_048
  readonly #latencyMs: number

  /** @param options - `latencyMs`: how long each call takes, in milliseconds; 0 by default. */
  constructor({ latencyMs = 0 }: { latencyMs?: number } = {}) {
    this.#latencyMs = latencyMs
  }

  async complete({ messages, replySchema, sample, signal }: ModelRequest): Promise<ModelReply> {
    signal.throwIfAborted()
    await pause(this.#latencyMs, signal)
    const seed = hash(replySchema.name, String(sample), ...messages.map(({ content }) => content))
    const random = new Random(Number.parseInt(seed.slice(0, 8), 16))
    const excerpt = new Excerpt(documentIn(messages), random)
    const text = JSON.stringify(answerSchema(replySchema.schema, writers[replySchema.name] ?? {}, excerpt, random))
    const promptChars = messages.reduce((sum, { content }) => sum + content.length, 0)
    return {
      text,
      finishReason: 'stop',
      // An estimate: four characters a token.
      usage: {
        promptTokens: Math.ceil(promptChars / charsPerToken),
        cachedTokens: 0,
        completionTokens: Math.ceil(text.length / charsPerToken),
      },
      model: this.model,
    }
  }
}

/**
 * The last block between the lines `<document>` and `</document>`, or `<instruction>` and `</instruction>`; the last user
 * message where there is none.
 */
export function documentIn(messages: readonly ChatMessage[]): string {
  for (const { content } of messages.toReversed()) {
    const ends = ['document', 'instruction'].map(name => ({ name, end: content.lastIndexOf(`\n</${name}>`) }))
    for (const { name, end } of ends.sort((one, other) => other.end - one.end)) {
      const opening = `<${name}>\n`
      const start = end < 0 ? -1 : content.lastIndexOf(opening, end)
      if (start >= 0) return content.slice(start + opening.length, end).trim()
    }
  }
  return messages.findLast(({ role }) => role === 'user')?.content.trim() ?? ''
}

/** Waits in the event loop even for no time at all, as every other model does. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (ms <= 0) {
      setImmediate(() => (signal.aborted ? reject(signal.reason) : resolve()))
      return
    }
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort, { once: true })
  })
}
