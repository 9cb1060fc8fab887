import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../streams/clock.ts'

interface Sleeper {
  at: number
  wake: () => void
}

/** A clock that stands still until it is advanced. */
export class VirtualClock implements Clock {
  #now: number
  readonly #sleepers = new Set<Sleeper>()

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || ms <= 0) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => {
      this.#sleepers.delete(sleeper)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const sleeper: Sleeper = { at: this.#now + ms, wake }
    this.#sleepers.add(sleeper)
    signal?.addEventListener('abort', wake, { once: true })
    return promise
  }

  /** Lets the time pass; whoever sleeps wakes at his time, and has done what he can before the next one wakes. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await setImmediate()
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at)
      next.wake()
      await setImmediate()
    }
    this.#now = end
  }

  #next(end: number): Sleeper | undefined {
    let next: Sleeper | undefined
    for (const sleeper of this.#sleepers) if (sleeper.at <= end && sleeper.at < (next?.at ?? Infinity)) next = sleeper
    return next
  }
}
