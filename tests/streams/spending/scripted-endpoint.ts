import { pino } from 'pino'
import type { Model, ModelReply, ModelRequest } from '../../../operators/model.ts'
import { type ErrorCode, type ErrorDetails, SituError } from '../../../schemas/errors.ts'
import type { Call, CallResult } from '../../../streams/spending/caller.ts'
import { Endpoint, type EndpointPorts } from '../../../streams/spending/endpoint.ts'
import { Gate, type GatePorts } from '../../../streams/spending/gate.ts'
import type { RateStore } from '../../../streams/spending/store.ts'
import { MemorySpendingStore } from '../../../streams/spending/stores/memory.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** What becomes of one call; thrown where it fails. */
export type Answer = (call: { number: number; request: ModelRequest; time: number }) => {
  latencyMs?: number
  error?: SituError
  reply?: Partial<ModelReply>
}

export const ok: Answer = () => ({ latencyMs: 100 })

export function failing(code: ErrorCode, details: ErrorDetails = {}): Answer {
  return () => ({ latencyMs: 10, error: new SituError(code, `model test: ${code}`, details) })
}

/** A model whose answers are told, on a clock of its own. */
class ScriptedModel implements Model {
  readonly endpoint: string
  readonly model = 'small'
  readonly parameters = {}
  readonly contextTokens = 4_096
  readonly replyTokens = 1_024
  /** When each call came. */
  readonly times: number[] = []
  readonly requests: ModelRequest[] = []
  inFlight = 0
  mostInFlight = 0
  answer: Answer
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock, answer: Answer = ok, endpoint = 'first') {
    this.#clock = clock
    this.answer = answer
    this.endpoint = endpoint
  }

  async complete(request: ModelRequest): Promise<ModelReply> {
    const time = this.#clock.now()
    this.times.push(time)
    this.requests.push(request)
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight)
    const { latencyMs = 100, error, reply } = this.answer({ number: this.times.length, request, time })
    await this.#clock.sleep(latencyMs, request.signal)
    this.inFlight--
    request.signal.throwIfAborted()
    if (error) throw error
    const usage = { promptTokens: 80, cachedTokens: 0, completionTokens: 20 }
    return { text: '{}', finishReason: 'stop', usage, model: 'small', ...reply }
  }
}

/** The turns of one process, and what was booked and settled. */
class RecordedTurns implements RateStore {
  readonly booked: Parameters<RateStore['bookTurn']>[1][] = []
  readonly settled: Parameters<RateStore['settleTurn']>[1][] = []
  /** What the store throws from now on. */
  failure: SituError | null = null
  readonly #store: RateStore

  constructor(clock: VirtualClock) {
    this.#store = new MemorySpendingStore({ now: () => clock.now() })
  }

  async bookTurn(endpoint: string, amounts: Parameters<RateStore['bookTurn']>[1]): Promise<number> {
    if (this.failure) throw this.failure
    this.booked.push(amounts)
    return this.#store.bookTurn(endpoint, amounts)
  }

  async settleTurn(endpoint: string, amounts: Parameters<RateStore['settleTurn']>[1]): Promise<void> {
    if (this.failure) throw this.failure
    this.settled.push(amounts)
    return this.#store.settleTurn(endpoint, amounts)
  }
}

/** A gate before scripted endpoints, and what its callers were told. */
export class Scene {
  readonly clock = new VirtualClock()
  readonly turns = new RecordedTurns(this.clock)
  readonly model = new ScriptedModel(this.clock)
  readonly second = new ScriptedModel(this.clock, ok, 'second')
  readonly gate: Gate
  readonly drain = new AbortController()
  readonly log: string[] = []
  readonly results: CallResult[] = []
  readonly errors: unknown[] = []

  constructor(options: { limits?: EndpointPorts['limits']; failover?: boolean } & Pick<GatePorts, 'admit'> = {}) {
    const { clock, turns: store } = this
    const log = pino({}, { write: line => this.log.push(JSON.parse(line).msg) })
    const endpointOf = (model: Model) => new Endpoint({ model, limits: options.limits ?? {}, store, clock, log })
    const more = options.failover ? [endpointOf(this.second)] : []
    this.gate = new Gate({ ...options, endpoints: [endpointOf(this.model), ...more], clock })
  }

  get codes(): unknown[] {
    return this.errors.map(error => (error instanceof SituError ? error.code : error))
  }

  /** Begins a call; its end is found in `results` or `errors`. */
  begin(changes: Partial<Call> = {}): Promise<void> {
    const call: Call = {
      model: this.model,
      operator: 'situate',
      rank: 0,
      messages: [{ role: 'user', content: 'x'.repeat(100) }],
      replySchema: { name: 'any', schema: {} },
      sample: 0,
      signal: new AbortController().signal,
      draining: this.drain.signal,
      ...changes,
    }
    return this.gate.call(call).then(
      result => void this.results.push(result),
      error => void this.errors.push(error),
    )
  }

  /** Callers that each make one call after the other, again where it fails, until the end. */
  async load(callers: number, ms: number, pauseMs = 0): Promise<void> {
    const end = this.clock.now() + ms
    const work = async () => {
      while (this.clock.now() < end) {
        const failed = this.errors.length
        await this.begin()
        if (this.errors.length > failed && pauseMs > 0) await this.clock.sleep(pauseMs)
      }
    }
    for (let caller = 0; caller < callers; caller++) void work()
    await this.clock.advance(ms)
  }

  /** One call that is answered, so that the endpoint has answered. */
  async answerOnce(): Promise<void> {
    const made = this.begin()
    await this.clock.advance(1_000)
    await made
  }
}
