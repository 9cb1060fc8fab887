/** Time as a port, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number
  /** Resolves after the time, or at once where the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A timer of more than this fires at once. */
const maxTimerMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise(resolve => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, maxTimerMs))
      signal?.addEventListener('abort', done, { once: true })
    }),
}
