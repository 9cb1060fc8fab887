import { z } from 'zod'

const tokens = z.number().int().nonnegative()

/** Usage that can't be read counts as none: the reply is paid for and good. */
const usage = z
  .object({
    prompt_tokens: tokens,
    completion_tokens: tokens,
    prompt_tokens_details: z.object({ cached_tokens: tokens.nullish() }).nullish(),
  })
  .transform(({ prompt_tokens, completion_tokens, prompt_tokens_details }) => ({
    promptTokens: prompt_tokens,
    cachedTokens: prompt_tokens_details?.cached_tokens ?? 0,
    completionTokens: completion_tokens,
  }))
  .nullable()
  .catch(null)

/** Of calls that are answered with no text. */
export const inputUsage = z
  .object({ prompt_tokens: tokens })
  .transform(({ prompt_tokens }) => ({ promptTokens: prompt_tokens, cachedTokens: 0, completionTokens: 0 }))
  .nullable()
  .catch(null)

const choice = z.object({
  message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
  finish_reason: z.string().nullish(),
})

/** What Situ reads of a chat completion. */
export const chatCompletion = z.object({
  model: z.string().min(1).optional().catch(undefined),
  choices: z.tuple([choice], z.unknown()).transform(([first]) => [first]),
  usage,
})

export type ChatCompletion = z.infer<typeof chatCompletion>
