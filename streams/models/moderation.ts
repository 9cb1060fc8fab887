import { z } from 'zod'
import type { ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Judgement } from '../../operators/moderate/answers.ts'
import type { ClientOptions } from './openai/client.ts'
import { EndpointModel } from './openai/endpoint-model.ts'
import { inputUsage } from './openai/response.ts'

/** Not every endpoint says what the whole comes to, older models leave categories open, and some give no scores. */
const result = z.object({
  flagged: z.boolean().nullish(),
  categories: z.record(z.string(), z.boolean().nullable()),
  category_scores: z.record(z.string(), z.number().nullable()).nullish(),
})

const moderations = z.object({
  results: z.tuple([result], z.unknown()).transform(([first]) => first),
  model: z.string().min(1).optional().catch(undefined),
  usage: inputUsage,
})

/**
 * The moderations of any endpoint that speaks as the `openai` package does, as a model: the last message is the text, the
 * reply is a judgement as JSON. So its calls go through the layers that all calls go through.
 */
export class ModerationModel extends EndpointModel {
  readonly kind = 'moderation'
  readonly contextTokens: number
  /** It writes nothing. */
  readonly replyTokens = 0

  /** @throws {SituError} CONFIGURATION_INVALID */
  constructor(options: ClientOptions & { contextTokens: number }) {
    super(options, ['model', 'input'])
    this.contextTokens = options.contextTokens
  }

  async complete({ messages, signal }: ModelRequest): Promise<ModelReply> {
    signal.throwIfAborted()
    const input = messages.at(-1)?.content.toWellFormed() ?? ''
    const body = Buffer.from(JSON.stringify({ ...this.parameters, model: this.model, input }))
    return this.post('/moderations', body, signal, answer => this.#read(answer))
  }

  #read(answer: string): ModelReply {
    const { results, usage, model = this.model } = this.parse(answer, moderations)
    return { text: JSON.stringify(judgementOf(results)), finishReason: 'stop', usage, model }
  }
}

function judgementOf({ flagged, categories, category_scores: scores }: z.output<typeof result>): Judgement {
  const hazards = Object.entries(categories).map(([category, isFlagged]) => {
    return { category, flagged: isFlagged ?? false, score: scores?.[category] ?? null }
  })
  return { flagged: (flagged ?? false) || hazards.some(hazard => hazard.flagged), categories: hazards, reason: null }
}
