import type { ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Clock } from '../clock.ts'

/** The smallest question. */
const question = {
  messages: [{ role: 'user', content: 'Are you there?' }],
  replySchema: { name: 'probe', schema: { type: 'object', properties: {}, required: [], additionalProperties: false } },
  replyTokens: 1,
} as const satisfies Partial<ModelRequest>
/** Asked again sooner it would tell nothing new. */
const everyMs = 1_000
/** How long a probe may take; doubled for each one that took longer, since a busy server answers late. */
const timeoutMs = { first: 10_000, longest: 300_000 }

const tookTooLong = new Error('the probe took too long')

export interface ProberPorts {
  clock: Clock
  ask: (request: ModelRequest) => Promise<ModelReply>
  onReply: (reply: ModelReply) => Promise<void>
  /** @param begun - When the question was asked. */
  onError: (error: unknown, begun: number) => void
}

/** Asks an endpoint for one token, to learn whether it is the endpoint that fails or what it is asked. */
export class Prober {
  readonly #ports: ProberPorts
  #asking: Promise<void> | null = null
  #askedAt = Number.NEGATIVE_INFINITY
  #timeoutMs = timeoutMs.first

  constructor(ports: ProberPorts) {
    this.#ports = ports
  }

  /** Whether a probe would tell something new. */
  get isDue(): boolean {
    return this.#asking !== null || this.#ports.clock.now() - this.#askedAt >= everyMs
  }

  /**
   * One at a time, however many ask. Never rejects: see `onError`.
   *
   * @param signal - Ends it.
   */
  ask(signal: AbortSignal): Promise<void> {
    this.#asking ??= this.#ask(signal).finally(() => {
      this.#asking = null
    })
    return this.#asking
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { clock, ask, onReply, onError } = this.#ports
    const ended = new AbortController()
    const timeout = new AbortController()
    this.#askedAt = clock.now()
    void clock.sleep(this.#timeoutMs, ended.signal).then(() => timeout.abort(tookTooLong))
    try {
      const reply = await ask({ ...question, sample: 0, signal: AbortSignal.any([signal, timeout.signal]) })
      this.#timeoutMs = timeoutMs.first
      await onReply(reply)
    } catch (error) {
      if (error === tookTooLong) this.#timeoutMs = Math.min(2 * this.#timeoutMs, timeoutMs.longest)
      onError(error, this.#askedAt)
    } finally {
      ended.abort()
    }
  }
}
