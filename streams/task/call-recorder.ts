import type { Model, ModelKind, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Correction, RecordedModel } from '../../operators/operator.ts'
import { cutBytes, maxRejectedBytes } from '../../operators/reply.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Attempt, LostSample, Place, Provenance, Spent } from '../../schemas/records.ts'
import type { Logger } from '../log.ts'
import { hashMessages } from '../message-text.ts'
import { type Call, type Caller, CallRefused, type CallResult } from '../spending/caller.ts'
import { Attempts, newAttempt } from './attempts.ts'
import { CallRetries, type RetryPorts, withRetries } from './call-retries.ts'
import type { RecordLimit } from './record-limit.ts'
import type { StageBinding } from './stage-binding.ts'

export interface CallPorts extends RetryPorts {
  binding: StageBinding
  caller: Caller
  rank: number
  tokenizer: Tokenizer
  log: Logger
}

type Request = Pick<ModelRequest, 'messages' | 'replySchema'>

/** Share of a prompt that was too long, where the endpoint does not tell what it takes. */
const shrunkShare = 0.6
/** An endpoint may count a few more tokens than we do. */
const contextShare = 0.95

/** Makes the calls for one output of a record, failed ones again, and keeps what its provenance tells of them. */
export class CallRecorder implements RecordedModel {
  readonly #ports: CallPorts
  readonly #model: Model
  readonly #input: Place
  readonly #limit: RecordLimit
  readonly #sample: number
  readonly #attempts = new Attempts()
  /** Keys of the replies that this record used. */
  readonly #keys: string[] = []
  #retries: CallRetries | null = null
  #messages: string | null = null
  /** Messages that the endpoint found too long. */
  #tooLong: Request['messages'] | null = null
  #contextTokens: number | null = null
  #replyTokens: number | null = null
  demonstrations: readonly string[] = []

  /** @param input - Place of the record; its id may be filled in later. */
  constructor(ports: CallPorts, model: Model, input: Place, limit: RecordLimit, sample: number) {
    this.#ports = ports
    this.#model = model
    this.#input = input
    this.#limit = limit
    this.#sample = sample
  }

  get kind(): ModelKind {
    return this.#model.kind ?? 'chat'
  }

  get contextTokens(): number {
    return this.#contextTokens ?? this.#model.contextTokens
  }

  get replyTokens(): number {
    return this.#model.replyTokens
  }

  /** Calls made and replies served. */
  get tries(): number {
    return this.#attempts.all.length
  }

  /** @throws {SituError} MODEL_*, once it is not tried again. @throws {CallRefused} A drain has begun. */
  async complete(request: Request, correction?: Correction): Promise<ModelReply> {
    if (correction) this.#attempts.reject(correction.code, correction.rejectedReply)
    for (;;) {
      const reply = await this.#answer(request, correction?.changed ?? null)
      if (reply.finishReason !== 'length' || !this.#raiseLimit(reply)) return reply
      this.#attempts.reject('MODEL_REPLY_CUT', cutBytes(reply.text, maxRejectedBytes))
    }
  }

  /** Makes the call until it is answered or not tried again. */
  #answer(request: Request, changed: string | null): Promise<ModelReply> {
    const { clock, retry } = this.#ports
    this.#retries ??= new CallRetries(retry, this.#input.id ?? '', clock.now())
    return withRetries(() => this.#attempt(request, changed), this.#retries, this.#ports, this.#limit)
  }

  async #attempt(request: Request, changed: string | null): Promise<ModelReply> {
    const { clock, log, binding } = this.#ports
    const attempt = newAttempt(changed, this.#replyTokens, this.#contextTokens)
    const begun = clock.now()
    const facts = { stage: binding.stage.name, input: this.#input.id }
    log.debug(facts, 'model call')
    try {
      const result = await this.#ports.caller.call(this.#call(request))
      this.#keep(attempt, result)
      this.#messages = hashMessages(request.messages)
      this.#attempts.add(attempt)
      return result.reply
    } catch (error) {
      // No call was made.
      if (error instanceof CallRefused) throw error
      attempt.code = error instanceof SituError ? error.code : 'OPERATOR_BUG'
      if (attempt.code === 'MODEL_CONTEXT_EXCEEDED') this.#tooLong = request.messages
      attempt.latencyMs = clock.now() - begun
      this.#attempts.add(attempt)
      throw error
    } finally {
      log.debug(facts, 'model reply')
    }
  }

  #call(request: Request): Call {
    const { binding, rank, draining } = this.#ports
    return {
      ...request,
      model: this.#model,
      operator: binding.stage.name,
      rank,
      failures: this.#attempts.failures,
      sample: this.#sample,
      ...(this.#replyTokens !== null && { replyTokens: this.#replyTokens }),
      signal: this.#limit.signal,
      draining,
      onWait: isWaiting => this.#limit.hold(isWaiting),
    }
  }

  #keep(attempt: Attempt, { reply, latencyMs, isFromCache, costUsd, endpoint, key }: CallResult): void {
    attempt.finishReason = reply.finishReason
    attempt.usage = reply.usage
    attempt.latencyMs = latencyMs
    attempt.fromCache = isFromCache
    attempt.costUsd = costUsd
    attempt.endpoint = endpoint === this.#model.endpoint ? null : endpoint
    if (key !== null) this.#keys.push(key)
  }

  /** Doubles the limit of the reply for the rest of the record, once. @returns False where there is no room. */
  #raiseLimit({ usage }: ModelReply): boolean {
    if (this.#replyTokens !== null) return false
    const room = usage ? this.contextTokens - usage.promptTokens : this.contextTokens
    const raised = Math.min(2 * this.#model.replyTokens, room)
    if (raised <= this.#model.replyTokens) return false
    this.#replyTokens = raised
    return true
  }

  /**
   * After a request that was too long: sets a lower limit for the prompt, once.
   *
   * @returns Whether the record should be tried again under it.
   */
  shrink(error: unknown): boolean {
    if (this.#tooLong === null || this.#contextTokens !== null || !(error instanceof SituError)) return false
    if (error.code !== 'MODEL_CONTEXT_EXCEEDED') return false
    const sent = this.#tooLong.reduce((sum, { content }) => sum + this.#ports.tokenizer.count(content), 0)
    const told = toldContext(String(error.evidence?.content ?? ''))
    const limit =
      told !== null && told < this.#model.contextTokens
        ? Math.floor(told * contextShare)
        : this.replyTokens + Math.floor(sent * shrunkShare)
    this.#contextTokens = Math.min(limit, this.#model.contextTokens - 1)
    return true
  }

  /** Keeps the replies of this record from being served again: it ended as a dead letter because of them. */
  async rejectReplies(): Promise<void> {
    if (this.#keys.length > 0) await this.#ports.caller.reject?.(this.#keys)
  }

  /** What the calls took; null where there was none. */
  get spent(): Spent | null {
    if (this.tries === 0) return null
    return {
      model: this.#model.model,
      prompt: this.#ports.binding.prompt?.hash ?? null,
      inputs: 1,
      ...this.#attempts.spent,
    }
  }

  /** What is kept of a sample that gave no output. */
  lost({ code, message }: SituError): LostSample {
    this.#attempts.end(code)
    return { sample: this.#sample, code, message, attempts: [...this.#attempts.all] }
  }

  /**
   * @param failure - Code of the error that ended the record, where one did.
   * @param lost - Other samples of the record, which gave no output.
   */
  provenance(failure: string | null = null, lost: readonly LostSample[] = []): Provenance | null {
    if (this.tries === 0) return null
    if (failure) this.#attempts.end(failure)
    const { stage, configuration, prompt, model, snapshot } = this.#ports.binding
    return {
      operator: stage.name,
      version: stage.operator.version,
      configuration,
      prompt: prompt?.hash ?? null,
      messages: this.#messages,
      model: model?.model ?? '',
      endpoint: model?.endpoint ?? '',
      parameters: JSON.stringify(model?.parameters ?? {}),
      snapshot: snapshot?.hash ?? null,
      demonstrations: [...this.demonstrations],
      seed: this.#input.id ?? '',
      sample: this.#sample,
      ...this.#attempts.told,
      time: this.#ports.clock.now(),
      input: this.#input,
      lost: [...lost],
    }
  }
}

/** The context that an endpoint says it has, in an answer that calls a request too long; null where it tells none. */
function toldContext(answer: string): number | null {
  const found = /(?:n_ctx"?\s*[:=]\s*|(?:context|model)[ _-]?(?:length|size|window|len)[^0-9]{0,40})(\d{3,8})/i.exec(
    answer,
  )
  return found?.[1] ? Number(found[1]) : null
}
