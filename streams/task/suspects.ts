import { SituError } from '../../schemas/errors.ts'
import type { Completed } from './outcome-queue.ts'

/** Unknown errors in a row that end the stage. */
const bugsInARow = 10
/** Requests that the endpoint refuses before any record has worked: so many end the stage. */
const refusalsAtFirst = 3

/**
 * Failures that wait, uncommitted, until a record has worked: where all fail, it is the stage that is broken, not its
 * inputs. Those are unknown errors, and requests that an endpoint refuses before any has worked: the parameters may be
 * wrong.
 */
export class Suspects {
  readonly #stage: string
  #held: Completed[] = []
  #hasWorked = false

  constructor(stage: string) {
    this.#stage = stage
  }

  get count(): number {
    return this.#held.length
  }

  /**
   * Takes an outcome where it is a suspect.
   *
   * @throws {SituError} OPERATOR_BUG or MODEL_REQUEST_REFUSED where there are too many.
   */
  hold(completed: Completed): boolean {
    const { result } = completed
    this.#hasWorked ||= result.kind === 'done'
    if (result.kind !== 'failed') return false
    const { code, message } = result
    const isRefusal = code === 'MODEL_REQUEST_REFUSED' && !this.#hasWorked
    if (code !== 'OPERATOR_BUG' && !isRefusal) return false
    this.#held.push(completed)
    if (this.#held.length < (isRefusal ? refusalsAtFirst : bugsInARow)) return true
    const what = isRefusal
      ? `the first ${this.#held.length} requests were refused`
      : `${bugsInARow} unknown errors in a row`
    throw new SituError(code, `${this.#stage}: ${what}; nothing of them is committed; the last: ${message}`)
  }

  /** Gives them back to be committed. */
  release(): Completed[] {
    return this.#held.splice(0)
  }
}
