import { type ErrorCode, errorTable } from '../../schemas/errors.ts'
import type { Failed } from '../../schemas/records.ts'
import { mainVariant } from '../chain/topology.ts'
import type { Pipeline } from '../pipeline.ts'
import { standingRecords } from '../standing-records.ts'

/** Which dead letters are meant; what is left out does not matter. */
export interface DeadLetterFilter {
  code?: string | undefined
  /** As `operatorOf` names it. */
  operator?: string | undefined
  /** Milliseconds since 1970. */
  since?: number | undefined
  until?: number | undefined
}

/** Dead letters of one operator with one code. */
export interface Cause {
  operator: string
  code: string
  count: number
  oldest: number
  newest: number
  /** The newest one. */
  example: { id: string; message: string }
  /** What a user can do; null for a code that this version does not know. */
  remedy: string | null
}

/** Those that stand, oldest first. */
export async function readDeadLetters(
  pipeline: Pick<Pipeline, 'transport' | 'serde'>,
  { code, operator, since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: DeadLetterFilter,
): Promise<Failed[]> {
  const letters: Failed[] = []
  for await (const { record: letter } of standingRecords(pipeline, 'failed')) {
    if (letter.time < since || letter.time >= until) continue
    if ((code ?? letter.code) === letter.code && (operator ?? operatorOf(letter)) === operatorOf(letter)) {
      letters.push(letter)
    }
  }
  return letters.sort((left, right) => left.time - right.time)
}

/** The operator, with the name of its variant behind a dot. */
export function operatorOf({ operator, variant }: Pick<Failed, 'operator' | 'variant'>): string {
  return variant === mainVariant ? operator : `${operator}.${variant}`
}

/** The commonest first. @param letters - As `readDeadLetters` gives them. */
export function causesOf(letters: readonly Failed[]): Cause[] {
  const groups = Map.groupBy(letters, letter => `${operatorOf(letter)} ${letter.code}`)
  return [...groups.values()]
    .flatMap(group => {
      const [oldest, newest] = [group[0], group.at(-1)]
      if (!oldest || !newest) return []
      const { code, id, message } = newest
      const operator = operatorOf(newest)
      const times = { oldest: oldest.time, newest: newest.time }
      return { operator, code, count: group.length, ...times, example: { id, message }, remedy: remedyOf(code) }
    })
    .sort((left, right) => right.count - left.count)
}

function remedyOf(code: string): string | null {
  return Object.hasOwn(errorTable, code) ? errorTable[code as ErrorCode].help : null
}
