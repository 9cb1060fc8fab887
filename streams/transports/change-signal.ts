/** Says that something has changed, without losing a change between a look and the wait for the next one. */
export class ChangeSignal {
  readonly #poll: { everyMs: number; changed: () => boolean } | null
  readonly #waiting = new Set<() => void>()
  #timer: NodeJS.Timeout | null = null
  #count = 0

  /** @param poll - Asked while somebody waits, for changes that nobody raises here. */
  constructor(poll: { everyMs: number; changed: () => boolean } | null = null) {
    this.#poll = poll
  }

  /** Changes so far: read it before the look, and give it to `wait` after. */
  get count(): number {
    return this.#count
  }

  raise(): void {
    this.#count++
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    this.#stopTimer()
    for (const wake of waiting) wake()
  }

  /** Resolves at once where anything has changed since `seen`, else at the next change, or when it is aborted. */
  async wait(seen: number, signal?: AbortSignal): Promise<void> {
    if (seen !== this.#count || signal?.aborted) return
    await new Promise<void>(resolve => {
      const wake = () => {
        signal?.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        if (this.#waiting.size === 0) this.#stopTimer()
        resolve()
      }
      signal?.addEventListener('abort', wake, { once: true })
      this.#waiting.add(wake)
      this.#startTimer()
    })
  }

  /** The timer keeps the process alive, and is there only while somebody waits. */
  #startTimer(): void {
    const poll = this.#poll
    if (!poll || this.#timer) return
    this.#timer = setInterval(() => {
      if (poll.changed()) this.raise()
    }, poll.everyMs)
  }

  #stopTimer(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
  }
}
