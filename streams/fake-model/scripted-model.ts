import type { IncomingHttpHeaders } from 'node:http'
import { messageOf } from '../../schemas/errors.ts'
import { type Clock, systemClock } from '../clock.ts'
import { type Call, type Director, errorBody, type Outcome } from './behaviour.ts'
import type { CallLog } from './call-log.ts'
import { Capacity } from './capacity.ts'
import { pickFault, play, randomOf, retryAfterOf } from './faults.ts'
import { createCounter, Replies } from './replies.ts'
import { type Phase, parseScript, type Script } from './script.ts'
import { type CallCounts, FakeModelServer, type PlainAnswer } from './server.ts'
import { draw } from './spread.ts'
import { Timeline } from './timeline.ts'

const defaultModel = 'fake-model'

export interface ScriptedModelOptions {
  script: Script
  /** Of the faults, latencies and reply lengths. */
  seed: number
  log?: CallLog
  clock?: Clock
}

/** A fake model that follows a script over time. POST /script replaces it, GET /calls counts. */
export class ScriptedModel implements Director, AsyncDisposable {
  readonly #seed: number
  readonly #clock: Clock
  readonly #server: FakeModelServer
  /** Calls that were let in and have not ended. */
  readonly #admitted = new Set<Call>()
  #script: Script
  #timeline: Timeline
  #capacity = new Capacity()
  #replies: Replies
  #watch = new AbortController()

  private constructor({ script, seed, log, clock = systemClock }: ScriptedModelOptions) {
    this.#seed = seed
    this.#clock = clock
    this.#script = script
    this.#timeline = new Timeline(script)
    this.#replies = new Replies(createCounter(script.tokenizer))
    this.#server = new FakeModelServer({
      director: this,
      replies: () => this.#replies,
      exchange: () => ({ servedSuffix: '', cachedTokens: this.#script.cachedTokens }),
      other: (...request) => this.#answerOther(...request),
      clock,
      ...(log ? { log } : {}),
    })
  }

  /** @param port - 0 takes a free one. */
  static async start(options: ScriptedModelOptions, port = 0, host = '127.0.0.1'): Promise<ScriptedModel> {
    const model = new ScriptedModel(options)
    await model.#server.listen(port, host)
    if (model.#script.from === 'start') model.#begin()
    return model
  }

  get url(): string {
    return this.#server.url
  }

  get counts(): CallCounts {
    return this.#server.counts
  }

  /** Takes another script from now on; limits count from nothing again. */
  replace(script: Script): void {
    this.#watch.abort()
    this.#watch = new AbortController()
    this.#script = script
    this.#timeline = new Timeline(script)
    this.#capacity = new Capacity()
    this.#replies = new Replies(createCounter(script.tokenizer))
    if (script.from === 'start') this.#begin()
  }

  async close(): Promise<void> {
    this.#watch.abort()
    await this.#server.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async direct(call: Call): Promise<Outcome> {
    if (!this.#timeline.hasBegun) this.#begin()
    const phase = this.#timeline.at(this.#clock.now())
    if (phase.down) return this.#down(phase)
    const denied = this.#denied(call)
    if (denied) return denied
    const random = randomOf(call, 0, 3, this.#seed)
    const wantedTokens = phase.replyTokens === undefined ? 0 : draw(phase.replyTokens, random)
    const refused = await this.#admit(call, phase, wantedTokens)
    if (refused) return refused
    const fault = pickFault(phase.faults, call, this.#seed)
    const outcome: Outcome = fault
      ? await play(fault, call, wantedTokens, this.#clock.now())
      : { kind: 'ok', wantedTokens }
    outcome.latencyMs = draw(phase.latencyMs, randomOf(call, call.occurrence, 4, this.#seed))
    return this.#withHeaders(outcome, phase)
  }

  ended(call: Call): void {
    this.#admitted.delete(call)
  }

  #down({ down, retryAfter }: Phase): Outcome {
    // A call may come in the moment before the port is closed.
    if (down === 'refuse') return { kind: 'reset', name: 'down' }
    const body = errorBody('The server is overloaded or down', null, 'server_error')
    return { kind: 'status', name: 'down', status: 503, body, ...retryAfterOf(retryAfter, 0, this.#clock.now()) }
  }

  /** What no retry would change: key, model, length of the prompt. */
  #denied(call: Call): Outcome | null {
    const { apiKey, models, contextTokens } = this.#script
    const { model } = call.request
    if (isUnauthorized(apiKey, call.headers)) return { kind: 'status', name: 'unauthorized', ...wrongKey }
    if (models && call.route !== 'moderations' && !models.includes(model)) {
      const body = errorBody(
        `The model \`${model}\` does not exist or you do not have access to it.`,
        'model_not_found',
      )
      return { kind: 'status', name: 'not-found', status: 404, body }
    }
    if (contextTokens === undefined || call.route !== 'chat') return null
    const tokens = this.#replies.promptTokens(call.request)
    if (tokens <= contextTokens) return null
    const text = `This model's maximum context length is ${contextTokens} tokens. However, your messages resulted in ${tokens} tokens.`
    return { kind: 'status', name: 'context-exceeded', status: 400, body: errorBody(text, 'context_length_exceeded') }
  }

  async #admit(call: Call, phase: Phase, wantedTokens: number): Promise<Outcome | null> {
    let now = this.#clock.now()
    let refusal = this.#capacity.refusal(phase, this.#admitted.size, 0, now)
    if (!refusal) {
      // Its tokens are known before it is let in: what it will use is booked, not an estimate.
      const { promptTokens, completionTokens } = await call.reply(wantedTokens)
      now = this.#clock.now()
      refusal = this.#capacity.take(phase, this.#admitted.size, promptTokens + completionTokens, now)
    }
    if (!refusal) {
      this.#admitted.add(call)
      return null
    }
    const body = errorBody(refusal.message, 'rate_limit_exceeded', 'requests')
    const outcome = { kind: 'status', name: 'rate-limited', status: 429, body } as const
    return this.#withHeaders({ ...outcome, ...retryAfterOf(phase.retryAfter, refusal.waitMs, now) }, phase)
  }

  #withHeaders(outcome: Outcome, phase: Phase): Outcome {
    if (phase.rateLimitHeaders) outcome.extraHeaders = this.#capacity.headers(phase, this.#clock.now())
    return outcome
  }

  #begin(): void {
    this.#timeline.begin(this.#clock.now())
    if (this.#script.phases.some(({ down }) => down === 'refuse')) this.#follow(this.#watch.signal)
  }

  /** Closes and opens the port as the phases come. */
  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = this.#clock.now()
      if (this.#timeline.at(now).down === 'refuse') await this.#server.suspend()
      else await this.#server.resume()
      const wait = this.#timeline.msToNext(now)
      if (wait === null) return
      await this.#clock.sleep(wait, signal)
    }
  }

  #answerOther(method: string, path: string, headers: IncomingHttpHeaders, body: string): PlainAnswer | null {
    switch (`${method} ${path}`) {
      case 'GET /v1/models': {
        if (isUnauthorized(this.#script.apiKey, headers)) return wrongKey
        const models = this.#script.models ?? [defaultModel]
        const data = models.map(id => ({ id, object: 'model', created: 0, owned_by: 'situ' }))
        return { status: 200, body: { object: 'list', data } }
      }
      case 'GET /calls':
        return { status: 200, body: this.counts }
      case 'GET /script':
        return { status: 200, body: this.#script }
      case 'POST /script':
        return this.#takeScript(body)
      default:
        return null
    }
  }

  #takeScript(text: string): PlainAnswer {
    try {
      this.replace(parseScript(text, 'script'))
      return { status: 200, body: this.#script }
    } catch (error) {
      return { status: 400, body: errorBody(messageOf(error)) }
    }
  }
}

const wrongKey: PlainAnswer = { status: 401, body: errorBody('Incorrect API key provided.', 'invalid_api_key') }

function isUnauthorized(apiKey: string | undefined, { authorization }: IncomingHttpHeaders): boolean {
  return apiKey !== undefined && authorization !== `Bearer ${apiKey}`
}
