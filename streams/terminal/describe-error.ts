import { errorTable, messageOf, SituError } from '../../schemas/errors.ts'

/** A thrown error for a reader: what happened, and what to do about it. */
export function describeError(error: unknown): string {
  if (!(error instanceof SituError)) return messageOf(error)
  return `${error.message}\n  ${error.code}: ${errorTable[error.code].help}`
}
