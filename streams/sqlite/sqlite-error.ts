import { type ErrorCode, messageOf, SituError } from '../../schemas/errors.ts'

/** SQLite's result codes, from its own list: https://www.sqlite.org/rescode.html */
const busy = 5
const locked = 6

const meanings: Record<number, { code: ErrorCode; rule: string }> = {
  3: { code: 'DATA_UNREADABLE', rule: 'no rights' },
  8: { code: 'DATA_UNREADABLE', rule: 'it may not be written' },
  10: { code: 'DATA_UNREADABLE', rule: 'the disk answers with an error' },
  11: { code: 'DATA_CORRUPT', rule: 'the file is damaged' },
  13: { code: 'DISK_FULL', rule: 'the disk is full' },
  14: { code: 'DATA_UNREADABLE', rule: 'it can not be opened for reading and writing' },
  18: { code: 'RECORD_TOO_LARGE', rule: 'the record is larger than SQLite takes' },
  26: { code: 'DATA_CORRUPT', rule: 'the file is no database' },
}

/** Kinds of error 8: the files beside the database can't be made or opened. */
const closedFolder = new Set([264, 520, 1288, 1544])
/** Kinds of error 10: a page cut short, and a file system that is damaged. */
const damaged = new Set([522, 8458])
/** Kinds of error 10 at writing: SQLite has a code of its own for a full disk only, not for a quota or a file limit. */
const unwritable = new Set([778, 1034, 1290, 1546, 4874])

export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code !== null && ((code & 0xff) === busy || (code & 0xff) === locked)
}

/**
 * Gives an error of SQLite a code of ours; any other error stays as it is.
 *
 * @param place - The file, and what was read of it.
 */
export function toSituError(error: unknown, place: string): unknown {
  const code = resultCode(error)
  if (code === null) return error
  const meaning = meaningOf(code)
  if (!meaning) return error
  return new SituError(meaning.code, `${place}: ${meaning.rule} (SQLite ${code}: ${messageOf(error)})`, {
    cause: error,
  })
}

function meaningOf(code: number): { code: ErrorCode; rule: string } | undefined {
  if (closedFolder.has(code)) {
    return { code: 'DATA_UNREADABLE', rule: 'its folder may not be written, which reading needs too' }
  }
  if (damaged.has(code)) return { code: 'DATA_CORRUPT', rule: 'the file is damaged' }
  if (unwritable.has(code)) {
    return { code: 'DISK_FULL', rule: 'it can not grow: is the disk full, or a quota or file limit reached?' }
  }
  return meanings[code & 0xff]
}

function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error)) return null
  return typeof error.errcode === 'number' ? error.errcode : null
}
