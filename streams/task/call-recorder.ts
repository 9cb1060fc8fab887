import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Correction, RecordedModel } from '../../operators/operator.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Attempt, Place, Provenance, Usage } from '../../schemas/records.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { hashMessages } from '../message-text.ts'
import type { StageBinding } from './stage-binding.ts'

/** Thrown where a new call would begin during a drain: the record stays uncommitted. */
export class CallRefused extends Error {}

export interface CallPorts {
  binding: StageBinding
  clock: Clock
  log: Logger
  /** Aborted where no new call may begin: nobody waits for one any more. */
  draining: AbortSignal
}

/** Makes the calls of one record and keeps what its provenance tells of them, over all tries. */
export class CallRecorder implements RecordedModel {
  readonly #ports: CallPorts
  readonly #model: Model
  readonly #input: Place
  readonly #signal: AbortSignal
  readonly #attempts: Attempt[] = []
  #messages: string | null = null
  demonstrations: readonly string[] = []

  /** @param input - Place of the record; its id may be filled in later. */
  constructor(ports: CallPorts, model: Model, input: Place, signal: AbortSignal) {
    this.#ports = ports
    this.#model = model
    this.#input = input
    this.#signal = signal
  }

  get contextTokens(): number {
    return this.#model.contextTokens
  }

  get replyTokens(): number {
    return this.#model.replyTokens
  }

  async complete(
    request: Pick<ModelRequest, 'messages' | 'replySchema'>,
    correction?: Correction,
  ): Promise<ModelReply> {
    const { clock, log, draining, binding } = this.#ports
    if (draining.aborted) throw new CallRefused()
    if (correction) this.#reject(correction)
    const attempt: Attempt = {
      code: null,
      finishReason: null,
      usage: null,
      latencyMs: 0,
      changed: correction?.changed ?? null,
      rejectedReply: null,
    }
    const start = clock.now()
    const facts = { stage: binding.stage.name, input: this.#input.id }
    log.debug(facts, 'model call')
    try {
      const reply = await this.#model.complete({ ...request, sample: 0, signal: this.#signal })
      attempt.finishReason = reply.finishReason
      attempt.usage = reply.usage
      this.#messages = hashMessages(request.messages)
      return reply
    } catch (error) {
      attempt.code = error instanceof SituError ? error.code : 'OPERATOR_BUG'
      throw error
    } finally {
      attempt.latencyMs = clock.now() - start
      log.debug(facts, 'model reply')
      this.#attempts.push(attempt)
    }
  }

  #reject({ code, rejectedReply }: Correction): void {
    const last = this.#attempts.at(-1)
    if (!last) return
    last.code = code
    last.rejectedReply = rejectedReply
  }

  /** @param failure - Code of the error that ended the record, where one did. */
  provenance(failure: string | null = null): Provenance | null {
    const last = this.#attempts.at(-1)
    if (!last) return null
    if (failure) last.code ??= failure
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
      sample: 0,
      attempts: this.#attempts,
      usage: sumUsage(this.#attempts),
      costUsd: null,
      latencyMs: this.#attempts.reduce((sum, attempt) => sum + attempt.latencyMs, 0),
      time: this.#ports.clock.now(),
      input: this.#input,
    }
  }
}

function sumUsage(attempts: readonly Attempt[]): Usage {
  const sum: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 }
  for (const { usage } of attempts) {
    sum.promptTokens += usage?.promptTokens ?? 0
    sum.cachedTokens += usage?.cachedTokens ?? 0
    sum.completionTokens += usage?.completionTokens ?? 0
  }
  return sum
}
