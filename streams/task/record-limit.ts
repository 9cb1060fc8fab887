import { messageOf, SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'

/** As a reason, so that no error with its stack is made each time. */
const stopped = 'stopped'

/**
 * The time that one record may take. While it waits for an endpoint the time stands still: that is not its fault. Signal
 * and timer are made when they are first needed: an operator that answers at once needs neither.
 */
export class RecordLimit {
  readonly #outer: AbortSignal
  readonly #timeoutMs: number
  readonly #clock: Clock
  #controller: AbortController | null = null
  #aborted: Promise<never> | null = null
  #forward: (() => void) | null = null
  #leftMs: number
  #runningSince: number
  #timer: AbortController | null = null
  #holds = 0
  #timedOut = false

  /** @param outer - Aborts the work; the record then stays uncommitted. */
  constructor(timeoutMs: number, clock: Clock, outer: AbortSignal) {
    this.#outer = outer
    this.#timeoutMs = timeoutMs
    this.#leftMs = timeoutMs
    this.#clock = clock
    this.#runningSince = clock.now()
  }

  get signal(): AbortSignal {
    return this.#begun().signal
  }

  #begun(): AbortController {
    if (this.#controller) return this.#controller
    const controller = new AbortController()
    const { signal } = controller
    this.#controller = controller
    this.#forward = () => controller.abort(this.#outer.reason)
    if (this.#outer.aborted) this.#forward()
    this.#outer.addEventListener('abort', this.#forward, { once: true })
    this.#aborted = new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason)
      else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    this.#aborted.catch(() => {})
    this.#count()
    if (this.#holds === 0) this.#start()
    return controller
  }

  /** An operator that does not heed the signal must not hold its slot for ever. */
  race<T>(work: Promise<T> | T): Promise<T> | T {
    if (!(work instanceof Promise)) return work
    this.#begun()
    return Promise.race([work, this.#aborted as Promise<never>])
  }

  /** Lets the time stand still from `true` to the `false` that goes with it. */
  hold(isWaiting: boolean): void {
    this.#begun()
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
    if (this.#forward) this.#outer.removeEventListener('abort', this.#forward)
  }

  #start(): void {
    const timer = new AbortController()
    this.#timer = timer
    this.#runningSince = this.#clock.now()
    void this.#clock.sleep(this.#leftMs, timer.signal).then(() => {
      if (timer.signal.aborted) return
      this.#timedOut = true
      this.#controller?.abort(new Error('record timeout'))
    })
  }

  #stop(): void {
    if (!this.#timer) return
    this.#timer.abort(stopped)
    this.#timer = null
    this.#count()
  }

  /** Takes off what has run. */
  #count(): void {
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.now() - this.#runningSince))
  }
}
