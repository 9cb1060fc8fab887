import type { Model, ModelReply } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Caller, CallRefused, type CallResult } from './caller.ts'
import { downCodes, type Endpoint, type Place, type WaitCause } from './endpoint.ts'
import { TurnQueue } from './turn-queue.ts'

/** The default reason is an error with a stack, made anew after each call. */
const woken = Symbol('woken')

/** Calls that wait, as a user is shown them. */
export interface Waiting {
  cause: WaitCause
  calls: number
  /** How long the cause has lasted by now. */
  sinceMs: number
}

export interface GatePorts {
  /** The same model at several endpoints: the first that is up gets the calls. */
  endpoints: readonly [Endpoint, ...Endpoint[]]
  clock: Clock
  /** Asked at the last moment before a call. @throws {CallRefused} It may not be made. */
  admit?: (call: Call) => void | Promise<void>
  /** What a reply of a model costs in US dollars; null where that is not known. */
  costOf?: (model: Model, reply: ModelReply) => number | null
}

/** A call that waits for its turn. */
interface Waiter {
  call: Call
  grant: (place: Place) => void
  refuse: (reason: unknown) => void
}

/** Holds calls back until their endpoint is up, is not called too fast, and it is their turn. */
export class Gate implements Caller {
  readonly #ports: GatePorts
  readonly #clock: Clock
  readonly #queue = new TurnQueue<Waiter>()
  #isDispatching = false
  #wake = new AbortController()
  #cause: { cause: WaitCause; from: number } | null = null

  constructor(ports: GatePorts) {
    this.#ports = ports
    this.#clock = ports.clock
  }

  get endpoints(): readonly Endpoint[] {
    return this.#ports.endpoints
  }

  get waiting(): Waiting | null {
    if (this.#queue.size === 0 || !this.#cause) return null
    const { cause, from } = this.#cause
    return { cause, calls: this.#queue.size, sinceMs: this.#clock.now() - from }
  }

  /** When a call was last answered: a failure before a later one may be the record's fault. */
  get #answeredAt(): number | null {
    return this.endpoints.reduce<number | null>(
      (last, { answeredAt }) => (answeredAt === null ? last : Math.max(last ?? 0, answeredAt)),
      null,
    )
  }

  async call(call: Call): Promise<CallResult> {
    call.signal.throwIfAborted()
    if (call.draining.aborted) throw new CallRefused()
    const place = this.#beginNow() ?? (await this.#wait(call))
    await this.#admit(call, place)
    const begun = this.#clock.now()
    const { endpoint } = place
    try {
      const reply = await endpoint.complete(call, place)
      const costUsd = this.#ports.costOf?.(endpoint.model, reply) ?? null
      return {
        reply,
        isFromCache: false,
        costUsd,
        latencyMs: this.#clock.now() - begun,
        endpoint: endpoint.model.endpoint,
        key: null,
      }
    } catch (error) {
      if (!(error instanceof SituError)) throw error
      if (this.#mayBeTheRequest(call, endpoint, error, begun)) await endpoint.probe(endOf(call))
      error.endpointAnsweredAt = this.#answeredAt
      throw this.#fatal ?? error
    } finally {
      this.#wakeUp()
    }
  }

  /**
   * A record that fails again while nobody else is answered: its request may be what no endpoint bears. Only an answer
   * to something else can tell.
   */
  #mayBeTheRequest({ failures = 0 }: Call, endpoint: Endpoint, error: SituError, begun: number): boolean {
    const isAnswering = (this.#answeredAt ?? Number.POSITIVE_INFINITY) > begun
    return failures > 0 && downCodes.includes(error.code) && !isAnswering && endpoint.mayProbe
  }

  /** The place of a call that need not wait. */
  #beginNow(): Place | null {
    if (this.#queue.size > 0 || this.#isDispatching) return null
    if (this.#fatal) throw this.#fatal
    const endpoint = this.#choose()
    return endpoint.wait.ms > 0 || endpoint.needsProbe || endpoint.needsTurn ? null : endpoint.begin(false)
  }

  async #wait(call: Call): Promise<Place> {
    const { promise, resolve, reject } = Promise.withResolvers<Place>()
    const waiter: Waiter = { call, grant: resolve, refuse: reject }
    const leave = (reason: unknown) => {
      if (!this.#queue.remove(waiter, call.rank)) return
      reject(reason)
      if (this.#queue.size === 0) this.#wakeUp()
    }
    const abort = () => leave(call.signal.reason)
    const drain = () => leave(new CallRefused())
    call.signal.addEventListener('abort', abort, { once: true })
    call.draining.addEventListener('abort', drain, { once: true })
    this.#queue.add(waiter, call.rank)
    call.onWait?.(true)
    if (!this.#isDispatching) void this.#dispatch()
    try {
      return await promise
    } finally {
      call.signal.removeEventListener('abort', abort)
      call.draining.removeEventListener('abort', drain)
      call.onWait?.(false)
    }
  }

  async #admit(call: Call, place: Place): Promise<void> {
    try {
      await this.#ports.admit?.(call)
    } catch (error) {
      place.endpoint.giveBack(place)
      this.#wakeUp()
      throw error
    }
  }

  /** Gives the places to those that wait, one after the other. */
  async #dispatch(): Promise<void> {
    this.#isDispatching = true
    for (let head = this.#queue.head; head; head = this.#queue.head) {
      try {
        await this.#serve(head)
      } catch (error) {
        this.#take(head)?.refuse(error)
      }
    }
    this.#isDispatching = false
  }

  /** One step towards the place of the head. It may have left by its end: then the step is for the next one. */
  async #serve(head: Waiter): Promise<void> {
    if (this.#fatal) throw this.#fatal
    const endpoint = this.#choose()
    const { ms, cause } = endpoint.wait
    if (cause) this.#noteCause(cause)
    if (ms > 0) await this.#sleep(ms)
    // Not awaited: meanwhile another endpoint may get the calls.
    else if (endpoint.needsProbe) void endpoint.probe(endOf(head.call)).finally(() => this.#wakeUp())
    else if (endpoint.needsTurn) await endpoint.bookTurn(head.call)
    else this.#take(head)?.grant(endpoint.begin(this.#isPaced))
  }

  /** Whether it was the rate that held the last ones back. */
  get #isPaced(): boolean {
    return this.#cause?.cause === 'ramp' || this.#cause?.cause === 'rate limited by the endpoint'
  }

  #take(waiter: Waiter): Waiter | null {
    return this.#queue.remove(waiter, waiter.call.rank) ? waiter : null
  }

  /** The first endpoint that is up, or may be tried; where there is none, the one that may be tried next. */
  #choose(): Endpoint {
    const { endpoints } = this.#ports
    if (endpoints.length === 1) return endpoints[0]
    const usable = endpoints.find(({ isUp, wait }) => isUp || wait.ms === 0)
    return usable ?? endpoints.reduce((best, endpoint) => (endpoint.wait.ms < best.wait.ms ? endpoint : best))
  }

  /** What ends all calls: a refusal of key or model, or that no endpoint has ever answered. */
  get #fatal(): SituError | null {
    const { endpoints } = this.#ports
    for (const { fatal } of endpoints) if (fatal) return fatal
    return endpoints.every(({ neverAnswered }) => neverAnswered) ? endpoints[0].neverAnswered : null
  }

  #noteCause(cause: WaitCause): void {
    if (this.#cause?.cause !== cause) this.#cause = { cause, from: this.#clock.now() }
  }

  #sleep(ms: number): Promise<void> {
    this.#wake = new AbortController()
    return this.#clock.sleep(ms, this.#wake.signal)
  }

  /** What was waited for may have changed. */
  #wakeUp(): void {
    this.#wake.abort(woken)
  }
}

/** Aborted where nobody wants an answer to the call any more. */
function endOf({ signal, draining }: Call): AbortSignal {
  return AbortSignal.any([signal, draining])
}
