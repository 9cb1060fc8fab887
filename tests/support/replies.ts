import { z } from 'zod'
import { readReply } from '../../operators/reply.ts'
import { SituError } from '../../schemas/errors.ts'
import type { ReplyCase } from '../fixtures/replies/index.ts'

/** The schema that the table of replies is written for. */
export const replySchema = z.object({
  thought: z.string().trim().min(1).describe('What makes it hard.'),
  instruction: z.string().trim().min(1).max(20_000).describe('The instruction itself.'),
})

const outcomes: Record<string, string> = {
  MODEL_REPLY_INVALID: 'invalid',
  MODEL_REPLY_CUT: 'cut',
  MODEL_CONTENT_FILTERED: 'filtered',
}

/** What `readReply` makes of a reply of the table: the object, or the way in which it refuses. */
export function outcomeOf({ text, finishReason }: ReplyCase): ReplyCase['wanted'] | string {
  try {
    return readReply(text, finishReason ?? 'stop', replySchema)
  } catch (error) {
    return error instanceof SituError ? (outcomes[error.code] ?? error.code) : String(error)
  }
}

/** The parser to beat: one regular expression in which the dot matches no line end. */
export function outcomeOfRegularExpression({ text }: ReplyCase): unknown {
  try {
    return JSON.parse(/```json(.*)```/.exec(text)?.[1] ?? '')
  } catch {
    return null
  }
}

/** How many of the usable replies come out right, and how many come out as something that they are not. */
export function countTaken(cases: readonly ReplyCase[], read: (replyCase: ReplyCase) => unknown) {
  const isRight = (one: ReplyCase, outcome: unknown) => JSON.stringify(outcome) === JSON.stringify(one.wanted)
  const usable = cases.filter(({ wanted }) => typeof wanted !== 'string')
  let taken = 0
  let wrong = 0
  for (const one of cases) {
    const outcome = read(one)
    if (outcome === null || typeof outcome === 'string') continue
    if (isRight(one, outcome)) taken++
    else wrong++
  }
  return { usable: usable.length, taken, wrong }
}
