import { type Call, CallRefused } from './caller.ts'

type Caller = Pick<Call, 'signal' | 'draining' | 'onWait'>

/** A call that is going on, for all who ask the same at this time. */
export class OpenCall<T> {
  readonly #result = Promise.withResolvers<T>()
  readonly #abandoned = new AbortController()
  readonly #callers = new Set<Caller>()
  #isWaiting = false
  #isClaimed = false

  constructor() {
    this.#result.promise.catch(() => undefined)
  }

  /** Aborted when nobody is left for whom the call may still begin. One that has begun goes on. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal
  }

  get isAbandoned(): boolean {
    return this.#abandoned.signal.aborted
  }

  /** True for the first one who asks. */
  claim(): boolean {
    const isFirst = !this.#isClaimed
    this.#isClaimed = true
    return isFirst
  }

  settle(result: Promise<T>): void {
    result.then(this.#result.resolve, this.#result.reject)
  }

  /** Told to all who ask. */
  tellWaiting(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return
    this.#isWaiting = isWaiting
    for (const { onWait } of this.#callers) onWait?.(isWaiting)
  }

  /** The result, or the caller's own end. */
  async join(caller: Caller): Promise<T> {
    const { signal, draining, onWait } = caller
    const gone = Promise.withResolvers<never>()
    const leave = () => {
      gone.reject(signal.reason)
      this.#abandonWhereAllAre()
    }
    const drain = () => this.#abandonWhereAllAre()
    this.#callers.add(caller)
    signal.addEventListener('abort', leave, { once: true })
    draining.addEventListener('abort', drain, { once: true })
    if (this.#isWaiting) onWait?.(true)
    if (signal.aborted) leave()
    else if (draining.aborted) drain()
    try {
      return await Promise.race([this.#result.promise, gone.promise])
    } finally {
      signal.removeEventListener('abort', leave)
      draining.removeEventListener('abort', drain)
      if (this.#isWaiting) onWait?.(false)
      this.#callers.delete(caller)
    }
  }

  #abandonWhereAllAre(): void {
    const isWanted = [...this.#callers].some(({ signal, draining }) => !signal.aborted && !draining.aborted)
    if (!isWanted) this.#abandoned.abort(new CallRefused())
  }
}
