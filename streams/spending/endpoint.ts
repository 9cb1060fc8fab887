import type { Model, ModelReply } from '../../operators/model.ts'
import { type ErrorCode, messageOf, SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { StatusFailure } from '../models/openai/failures.ts'
import { AdaptiveRate } from './adaptive-rate.ts'
import { Breaker, type Pass, type Verdict } from './breaker.ts'
import type { Call } from './caller.ts'
import { Prober } from './prober.ts'
import { type BookedTurn, type LimitsPerMinute, SharedLimits, tokensOf } from './shared-limits.ts'
import type { RateStore } from './store.ts'
import { TokenEstimate } from './token-estimate.ts'

/** Failed calls after which an endpoint that never answered is given up for a while, or with the run. */
const callsUntilFirstAnswer = 3
/** After a call that failed before the first answer; doubled for each further one. */
const firstPauseMs = 500
const longestPauseMs = 15_000
/**
 * A longer Retry-After sends calls to the next endpoint. A shorter one is over before a move pays: another endpoint has
 * another price, its cache of prompts is cold, and what is left of a limit there is not known.
 */
const longestRetryAfterMs = 5_000
/** A turn that is used later than this after its time is none: others count on its having been used. */
const turnLastsMs = 1_000
/** What the first replies are taken for at most. */
const firstReplyTokens = 512

/** An endpoint that answers so may be down. */
export const downCodes: readonly ErrorCode[] = [
  'MODEL_UNAVAILABLE',
  'MODEL_TIMEOUT',
  'MODEL_UNREACHABLE',
  'MODEL_RESPONSE_BROKEN',
]
/** They come of the model itself: key and names are right. */
const answerCodes: readonly ErrorCode[] = ['MODEL_CONTEXT_EXCEEDED', 'MODEL_CONTENT_FILTERED']

/** Why calls wait. */
export type WaitCause =
  | 'first answer'
  | 'ramp'
  | 'rate limited by the endpoint'
  | 'retry-after'
  | 'endpoint is down'
  | 'requests per minute'
  | 'tokens per minute'

export interface Wait {
  /** Until the next call may begin; without end where it takes the end of another call. */
  ms: number
  cause: WaitCause | null
}

export interface EndpointPorts {
  model: Model
  limits: LimitsPerMinute
  store: RateStore
  clock: Clock
  log: Logger
  /** Told of the reply to a probe, which is paid for too. */
  onProbe?: (model: Model, reply: ModelReply) => void | Promise<void>
}

/** One endpoint with one model: whether it is up, how fast it may be called, and whether it has ever answered. */
export class Endpoint {
  readonly model: Model
  readonly #clock: Clock
  readonly #log: Logger
  readonly #rate = new AdaptiveRate()
  readonly #breaker: Breaker
  readonly #limits: SharedLimits
  readonly #estimate: TokenEstimate
  readonly #prober: Prober
  #notBefore = Number.NEGATIVE_INFINITY
  /** Whether `notBefore` is what the endpoint asked for. */
  #isAsked = false
  /** Whether it asked for so long that others get the calls until then. */
  #isAway = false
  /** The turn of the next call. */
  #turn: Turn | null = null
  /** Whether it took the place of one that was not used in time. */
  #hasRebooked = false
  #inFlight = 0
  #answeredAt: number | null = null
  #failedCalls = 0
  #refused = 0
  #fatal: SituError | null = null
  #neverAnswered: SituError | null = null

  constructor({ model, limits, store, clock, log, onProbe }: EndpointPorts) {
    this.model = model
    this.#clock = clock
    this.#log = log
    this.#limits = new SharedLimits(store, `${model.endpoint}/${model.model}`, limits)
    this.#estimate = new TokenEstimate(Math.min(model.replyTokens, firstReplyTokens))
    this.#prober = new Prober({
      clock,
      ask: request => {
        this.#rate.take(clock.now(), false)
        return this.#breaker.run(this.#breaker.enter(), () => model.complete(request))
      },
      onReply: async reply => {
        this.#answeredAt = clock.now()
        await onProbe?.(model, reply)
      },
      onError: (error, begun) => {
        if (verdict(error) === 'up') this.#answeredAt = clock.now()
        this.#failure(error, begun)
      },
    })
    this.#breaker = new Breaker({
      clock,
      verdict,
      onOpen: cause => this.#log.warn(this.#facts, `${this.#name} is down, calls wait: ${messageOf(cause)}`),
      onClose: ms => this.#log.info(this.#facts, `${this.#name} answers again after ${Math.round(ms / 1000)} s`),
    })
  }

  /** The error after which no call may be made any more: it refuses key, model or path. */
  get fatal(): SituError | null {
    return this.#fatal
  }

  /** The error of an endpoint that never answered, after a few failed calls. */
  get neverAnswered(): SituError | null {
    return this.#answeredAt === null ? this.#neverAnswered : null
  }

  /** When it last answered a call; null where it never has. */
  get answeredAt(): number | null {
    return this.#answeredAt
  }

  /** Whether calls go to it, be it that they must wait for their turn. */
  get isUp(): boolean {
    const isAway = this.#isAway && this.#notBefore > this.#clock.now()
    return this.#breaker.isClosed && this.neverAnswered === null && !isAway
  }

  /** Whether it must be asked a probe before the next call. */
  get needsProbe(): boolean {
    return !this.#breaker.isClosed && this.#breaker.waitMs === 0
  }

  /** Whether the next call must book a turn before it can begin: there is none, or it was not used in time. */
  get needsTurn(): boolean {
    if (this.#limits.rates.length === 0) return false
    if (!this.#turn) return true
    // A process that is always late must not book for ever.
    return !this.#hasRebooked && this.#clock.now() - this.#turn.from > turnLastsMs
  }

  /** How long the next call has to wait, and what for. */
  get wait(): Wait {
    const now = this.#clock.now()
    if (this.#answeredAt === null && this.#inFlight > 0) return endless('first answer')
    const downMs = this.#breaker.waitMs
    if (downMs > 0) return { ms: downMs, cause: 'endpoint is down' }
    const asked = this.#notBefore - now
    if (asked > 0) return { ms: asked, cause: this.#isAsked ? 'retry-after' : 'first answer' }
    const paced = this.#rate.waitMs(now)
    if (paced > 0) return { ms: paced, cause: this.#rate.isLimited ? 'rate limited by the endpoint' : 'ramp' }
    const turn = (this.#turn?.from ?? now) - now
    return { ms: Math.max(0, turn), cause: turn > 0 ? this.#turnCause() : null }
  }

  /** Books a turn for the next call, as if this one were it. */
  async bookTurn(call: Call): Promise<void> {
    const late = this.#turn
    this.#turn = null
    if (late) {
      this.#hasRebooked = true
      await this.#limits.unbook(late.booked)
    }
    const booked = await this.#limits.book(this.#estimate.guess(call.operator, call.messages))
    this.#turn = { booked, from: this.#clock.now() + booked.waitMs }
  }

  /**
   * Takes the place of a call. To be used only where `wait` is over and neither turn nor probe is needed.
   *
   * @param isPaced - Whether the call had to wait for the rate.
   */
  begin(isPaced: boolean): Place {
    const turn = this.#turn
    this.#turn = null
    this.#hasRebooked = false
    this.#inFlight++
    this.#rate.take(this.#clock.now(), isPaced)
    return { endpoint: this, turn, pass: this.#breaker.enter() }
  }

  /** The call of a place is not made: its turn is left to the next one. */
  giveBack({ turn, pass }: Place): void {
    this.#inFlight--
    this.#breaker.leave(pass)
    if (turn && this.#turn === null) this.#turn = turn
  }

  /**
   * Makes the call of a place.
   *
   * @throws {SituError} As `Model.complete`.
   */
  async complete(call: Call, { turn, pass }: Place): Promise<ModelReply> {
    const begun = this.#clock.now()
    try {
      const reply = await this.#breaker.run(pass, () => this.model.complete(call))
      this.#answered(call, reply)
      this.#settle(turn, tokensOf(reply.usage))
      return reply
    } catch (error) {
      if (error instanceof SituError && error.code === 'MODEL_RATE_LIMITED') this.#settle(turn, 0)
      throw this.#failure(error, begun)
    } finally {
      this.#inFlight--
    }
  }

  /**
   * Asks for one token, to learn whether it is the endpoint that fails or what it is asked. One at a time.
   *
   * @param signal - Ends it.
   */
  probe(signal: AbortSignal): Promise<void> {
    return this.#prober.ask(signal)
  }

  /** Whether a probe would tell something new: it seems to be up, and has not been asked just now. */
  get mayProbe(): boolean {
    return this.isUp && this.#prober.isDue
  }

  #answered({ operator, messages }: Call, { usage, rateLimits }: ModelReply): void {
    this.#answeredAt = this.#clock.now()
    if (usage) this.#estimate.learn(operator, messages, usage)
    if (rateLimits) this.#limits.learn(rateLimits)
  }

  /** A paid reply waits for no store, and is not lost with one: who books next meets its error. */
  #settle(turn: Turn | null, used: number | null): void {
    if (!turn) return
    this.#limits.settle(turn.booked, used).catch(error => this.#log.debug(this.#facts, messageOf(error)))
  }

  /** Learns from an error. @returns What is thrown. */
  #failure(error: unknown, begun: number): unknown {
    if (!(error instanceof SituError)) return error
    if (error instanceof StatusFailure) this.#limits.learn(error.rateLimits)
    if (error.code === 'MODEL_RATE_LIMITED') this.#rateLimited(begun)
    if (answerCodes.includes(error.code)) this.#answeredAt = this.#clock.now()
    if (error.retryAfterMs !== undefined) this.#pause(error.retryAfterMs, true)
    if (downCodes.includes(error.code)) this.#failed(error)
    else if (error.stops === 'run') this.#fatal = error
    return error
  }

  #rateLimited(begun: number): void {
    if (this.#answeredAt === null) this.#pause(firstPauseMs * 2 ** this.#refused++, false)
    else this.#rate.refused(begun, this.#clock.now())
  }

  #failed(error: SituError): void {
    if (this.#answeredAt !== null) return
    const failed = ++this.#failedCalls
    const isOver = failed >= callsUntilFirstAnswer
    this.#pause(isOver ? longestPauseMs : firstPauseMs * 2 ** (failed - 1), false)
    if (!isOver) return
    const message = `${this.#name} never answered, ${failed} calls failed; the last: ${error.message}`
    this.#neverAnswered = new SituError('MODEL_NEVER_ANSWERED', message, { cause: error })
  }

  #pause(ms: number, isAsked: boolean): void {
    const until = this.#clock.now() + (isAsked ? ms : Math.min(ms, longestPauseMs))
    if (until <= this.#notBefore) return
    this.#notBefore = until
    this.#isAsked = isAsked
    this.#isAway = isAsked && ms > longestRetryAfterMs
  }

  #turnCause(): WaitCause {
    const tightest = this.#limits.tightest(this.#turn?.booked.tokens ?? 0)
    return tightest === 'tokens' ? 'tokens per minute' : 'requests per minute'
  }

  get #name(): string {
    return `model ${this.model.endpoint} (${this.model.model})`
  }

  get #facts(): object {
    return { endpoint: this.model.endpoint, model: this.model.model }
  }
}

interface Turn {
  booked: BookedTurn
  /** When it may be used. */
  from: number
}

/** The place of one call among those in flight. */
export interface Place {
  endpoint: Endpoint
  turn: Turn | null
  pass: Pass
}

function endless(cause: WaitCause): Wait {
  return { ms: Number.POSITIVE_INFINITY, cause }
}

function verdict(error: unknown): Verdict {
  if (!(error instanceof SituError)) return 'none'
  return downCodes.includes(error.code) ? 'down' : 'up'
}
