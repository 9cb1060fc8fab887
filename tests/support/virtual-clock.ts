import type { Clock } from '../../streams/clock.ts'

/** A clock that stands still until it is advanced. */
export class VirtualClock implements Clock {
  #now: number
  #sleepers: { at: number; wake: () => void }[] = []

  constructor(now = 1_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const sleeper = { at: this.#now + ms, wake: resolve }
      this.#sleepers.push(sleeper)
      const end = () => {
        this.#sleepers = this.#sleepers.filter(other => other !== sleeper)
        resolve()
      }
      signal?.addEventListener('abort', end, { once: true })
    })
  }

  /** Wakes in order what sleeps until then, and lets each do what it does. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await settle()
    for (;;) {
      const next = this.#sleepers.reduce<{ at: number; wake: () => void } | null>(
        (first, sleeper) => (sleeper.at <= until && (!first || sleeper.at < first.at) ? sleeper : first),
        null,
      )
      if (!next) break
      this.#sleepers.splice(this.#sleepers.indexOf(next), 1)
      this.#now = Math.max(this.#now, next.at)
      next.wake()
      await settle()
    }
    this.#now = until
    await settle()
  }
}

function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
