import type { IBreaker } from 'cockatiel'

/** Outcomes that are remembered: more calls than are ever in flight at once. */
const remembered = 10_000

/**
 * Finds calls that were begun one after the other and all failed. The order of beginning counts: failures come quickly
 * and answers late, so that in the order of ending answers to calls from before an outage would hide it, and a few
 * failures among many calls that are under way would look like one.
 */
export class FailureRow implements IBreaker {
  readonly state = undefined
  readonly #length: number
  /** Calls that failed, and those that nobody knows the outcome of, by number. */
  readonly #failed = new Map<number, boolean>()
  #next = 0
  #isFull = false

  /** @param length - Failures that make a row. */
  constructor(length: number) {
    this.#length = length
  }

  /** Number of the call that begins now. */
  begin(): number {
    return this.#next++
  }

  /** The call has failed. */
  failed(call: number): void {
    this.#failed.set(call, true)
    this.#isFull ||= 1 + this.#count(call, -1) + this.#count(call, 1) >= this.#length
    this.#forget(call - remembered)
  }

  /** The call was given up: the row goes on beyond it. */
  void(call: number): void {
    this.#failed.set(call, false)
  }

  /** Nothing: calls that did not fail are gaps between those that did. */
  success(): void {}

  failure(): boolean {
    return this.#isFull
  }

  /** Calls from now on make rows of their own. */
  clear(): void {
    this.#failed.clear()
    this.#isFull = false
  }

  /** Failures next to a call, in one direction. */
  #count(call: number, step: 1 | -1): number {
    let count = 0
    for (let other = call + step; ; other += step) {
      const isFailed = this.#failed.get(other)
      if (isFailed === undefined) return count
      if (isFailed) count++
    }
  }

  #forget(before: number): void {
    if (this.#failed.size < remembered) return
    for (const call of this.#failed.keys()) if (call < before) this.#failed.delete(call)
  }
}
