import { CircuitState, circuitBreaker, handleType, type IBackoff } from 'cockatiel'
import type { Clock } from '../clock.ts'
import { FailureRow } from './failure-row.ts'

/** Failed calls in a row, in the order of beginning, that open it. */
const failuresToOpen = 5
const firstIntervalMs = 1_000
const longestIntervalMs = 15_000

/** What the error of a call says of its endpoint: `none` where the call was given up. */
export type Verdict = 'down' | 'up' | 'none'

export interface BreakerPorts {
  clock: Clock
  verdict: (error: unknown) => Verdict
  onOpen: (cause: unknown) => void
  onClose: (downMs: number) => void
}

/** Leave for one call. */
export interface Pass {
  isProbe: boolean
  /** Number of the call. */
  call: number
  /** How often the breaker had opened before. */
  openings: number
}

/** Carries a failure that counts through the library. */
class Down extends Error {
  override readonly cause: unknown

  constructor(cause: unknown) {
    super()
    this.cause = cause
  }
}

/**
 * Tells whether an endpoint is up. States and counts are cockatiel's. It looks at the system's time by itself, so its
 * interval is 0 and the clock is ours. And it takes late failures of calls that were under way when it opened for that
 * of the probe: they are kept from it.
 */
export class Breaker {
  readonly #ports: BreakerPorts
  readonly #policy
  readonly #row = new FailureRow(failuresToOpen)
  #openings = 0
  #openedAt = 0
  #probeAt = 0
  #isProbing = false

  constructor(ports: BreakerPorts) {
    this.#ports = ports
    this.#policy = circuitBreaker(handleType(Down), {
      halfOpenAfter: { next: () => this.#interval(firstIntervalMs) },
      breaker: this.#row,
    })
    this.#policy.onBreak(reason =>
      this.#opened('error' in reason && reason.error instanceof Down ? reason.error.cause : null),
    )
    this.#policy.onReset(() => {
      this.#row.clear()
      ports.onClose(ports.clock.now() - this.#openedAt)
    })
  }

  get isClosed(): boolean {
    return this.#policy.state === CircuitState.Closed
  }

  /** Milliseconds until a call may be made: 0 where it is closed, without end while a probe is under way. */
  get waitMs(): number {
    if (this.isClosed) return 0
    return this.#isProbing ? Number.POSITIVE_INFINITY : Math.max(0, this.#probeAt - this.#ports.clock.now())
  }

  /** Lets a call through; where the breaker is open it is the probe. To be used only where `waitMs` is 0. */
  enter(): Pass {
    const isProbe = !this.isClosed
    if (isProbe) this.#isProbing = true
    return { isProbe, call: isProbe ? -1 : this.#row.begin(), openings: this.#openings }
  }

  /** The call of the pass is not made. */
  leave({ isProbe, call }: Pass): void {
    if (isProbe) this.#isProbing = false
    else this.#row.void(call)
  }

  /** @throws What the call throws. */
  async run<T>(pass: Pass, make: () => Promise<T>): Promise<T> {
    try {
      const ended = await this.#policy.execute(() => this.#settle(pass, make))
      if ('error' in ended) throw ended.error
      return ended.value
    } catch (error) {
      throw error instanceof Down ? error.cause : error
    } finally {
      if (pass.isProbe) this.#isProbing = false
    }
  }

  /** An error of an endpoint that is up ends a row of failures, as a reply does. */
  async #settle<T>(pass: Pass, make: () => Promise<T>): Promise<{ value: T } | { error: unknown }> {
    try {
      return { value: await make() }
    } catch (error) {
      const verdict = this.#ports.verdict(error)
      if (verdict === 'up') return { error }
      if (pass.isProbe) throw new Down(error)
      if (verdict === 'none') this.#row.void(pass.call)
      if (verdict === 'none' || pass.openings !== this.#openings) throw error
      this.#row.failed(pass.call)
      throw new Down(error)
    }
  }

  #opened(cause: unknown): void {
    this.#openings++
    if (this.#isProbing) return
    this.#openedAt = this.#ports.clock.now()
    this.#ports.onOpen(cause)
  }

  /** Made when it opens, so the interval begins then. */
  #interval(ms: number): IBackoff<unknown> {
    this.#probeAt = this.#ports.clock.now() + ms
    return { duration: 0, next: () => this.#interval(Math.min(2 * ms, longestIntervalMs)) }
  }
}
