import { messageOf, SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'

/** The time that one record may take. While it waits for an endpoint the time stands still: that is not its fault. */
export class RecordLimit {
  readonly #controller = new AbortController()
  readonly #aborted: Promise<never>
  readonly #outer: AbortSignal
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #forward: () => void
  #leftMs: number
  #runningSince = 0
  #timer: AbortController | null = null
  #holds = 0
  #timedOut = false

  /** @param outer - Aborts the work; the record then stays uncommitted. */
  constructor(timeoutMs: number, clock: Clock, outer: AbortSignal) {
    this.#outer = outer
    this.#timeoutMs = timeoutMs
    this.#leftMs = timeoutMs
    this.#clock = clock
    this.#forward = () => this.#controller.abort(outer.reason)
    if (outer.aborted) this.#forward()
    outer.addEventListener('abort', this.#forward, { once: true })
    this.#aborted = new Promise((_, reject) => {
      this.signal.addEventListener('abort', () => reject(this.signal.reason), { once: true })
    })
    this.#aborted.catch(() => {})
    this.#start()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** An operator that does not heed the signal must not hold its slot for ever. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#aborted])
  }

  /** Lets the time stand still from `true` to the `false` that goes with it. */
  hold(isWaiting: boolean): void {
    if (isWaiting && this.#holds++ === 0) this.#stop()
    if (!isWaiting && --this.#holds === 0) this.#start()
  }

  /** What ended the record, as an error of the table. */
  asFailure(error: unknown, stage: string): SituError {
    if (this.#timedOut) {
      return new SituError('OPERATOR_TIMEOUT', `${stage}: the record took longer than ${this.#timeoutMs} ms`)
    }
    if (error instanceof SituError) return error
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return new SituError('OPERATOR_BUG', `${stage}: ${messageOf(error)}`, {
      cause: error,
      evidence: { kind: 'stack', content: stack },
    })
  }

  end(): void {
    this.#stop()
    // What still waits must not start the time again.
    this.#holds = Number.POSITIVE_INFINITY
    this.#outer.removeEventListener('abort', this.#forward)
  }

  #start(): void {
    const timer = new AbortController()
    this.#timer = timer
    this.#runningSince = this.#clock.now()
    void this.#clock.sleep(this.#leftMs, timer.signal).then(() => {
      if (timer.signal.aborted) return
      this.#timedOut = true
      this.#controller.abort(new Error('record timeout'))
    })
  }

  #stop(): void {
    if (!this.#timer) return
    this.#timer.abort()
    this.#timer = null
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.now() - this.#runningSince))
  }
}
