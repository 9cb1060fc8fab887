import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../../schemas/errors.ts'
import type { Completed } from '../../../streams/task/outcome-queue.ts'
import { Position } from '../../../streams/task/position.ts'
import { Suspects } from '../../../streams/task/suspects.ts'
import type { Result } from '../../../streams/task/task-record.ts'

const position = new Position('document', { topic: 'document', next: 0, finished: [] })
const outcome = (result: Result): Completed => ({
  result,
  messages: [],
  spent: null,
  position,
  offset: 0,
  request: null,
})
const failed = (code: ErrorCode) => outcome({ kind: 'failed', code, message: `it is ${code}` })
const done = outcome({ kind: 'done', out: 1 })

describe('Suspects', () => {
  it('holds unknown errors and refused requests, and nothing else', () => {
    const suspects = new Suspects('situate')
    expect(suspects.hold(failed('OPERATOR_BUG'))).toBe(true)
    expect(suspects.hold(failed('MODEL_REQUEST_REFUSED'))).toBe(true)
    expect(suspects.hold(failed('MODEL_REPLY_INVALID'))).toBe(false)
    expect(suspects.hold(outcome({ kind: 'dropped', reason: 'too_short' }))).toBe(false)
    expect(suspects.release()).toHaveLength(2)
    expect(suspects.count).toBe(0)
  })

  it('ends the stage at ten unknown errors', () => {
    const suspects = new Suspects('situate')
    for (let number = 1; number < 10; number++) expect(suspects.hold(failed('OPERATOR_BUG'))).toBe(true)
    expect(() => suspects.hold(failed('OPERATOR_BUG'))).toThrow(
      'situate: 10 unknown errors in a row; nothing of them is committed; the last: it is OPERATOR_BUG',
    )
  })

  it('ends the stage at three requests that are refused before any record has worked', () => {
    const suspects = new Suspects('situate')
    for (let number = 1; number < 3; number++) expect(suspects.hold(failed('MODEL_REQUEST_REFUSED'))).toBe(true)
    expect(() => suspects.hold(failed('MODEL_REQUEST_REFUSED'))).toThrow(
      'situate: the first 3 requests were refused; nothing of them is committed',
    )
  })

  it('holds no refused request once a record has worked', () => {
    const suspects = new Suspects('situate')
    expect(suspects.hold(done)).toBe(false)
    for (let number = 0; number < 20; number++) expect(suspects.hold(failed('MODEL_REQUEST_REFUSED'))).toBe(false)
  })
})
