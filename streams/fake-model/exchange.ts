import type { ServerResponse } from 'node:http'
import type { Call, ChatRequest, Outcome, Reply } from './behaviour.ts'

/** Outcomes that leave the answer incomplete by themselves. */
const incomplete = new Set(['hang', 'hang-in-body', 'cut', 'reset', 'down'])

export interface ExchangeOptions {
  /** Added to the name of the model in answers. */
  servedSuffix: string
  /** Prompt tokens that count as cached, at most all of them. */
  cachedTokens: number
}

/** One call and its answer. */
export class Exchange {
  readonly call: Call
  readonly arrivedAt: number
  readonly #response: ServerResponse
  readonly #options: ExchangeOptions
  #name = 'ok'
  #tokens = { prompt: 0, completion: 0 }

  constructor(call: Call, response: ServerResponse, arrivedAt: number, options: ExchangeOptions) {
    this.call = call
    this.arrivedAt = arrivedAt
    this.#response = response
    this.#options = options
  }

  /** How it ended, as the log says it; to be read when it has. */
  get result() {
    const { writableFinished, headersSent, statusCode } = this.#response
    return {
      outcome: writableFinished || incomplete.has(this.#name) ? this.#name : 'client-gone',
      status: headersSent ? statusCode : null,
      promptTokens: this.#tokens.prompt,
      completionTokens: this.#tokens.completion,
    }
  }

  /** Cuts the connection because the endpoint goes down. */
  cut(): void {
    this.#name = 'down'
    this.#response.socket?.destroy()
  }

  async play(outcome: Outcome): Promise<void> {
    this.#name = outcome.name ?? outcome.kind
    switch (outcome.kind) {
      case 'ok':
        return this.#send(200, await this.#body(outcome), outcome.extraHeaders)
      case 'status': {
        const { status, body, headers, retryAfter, extraHeaders } = outcome
        const text =
          typeof body === 'string' ? body : JSON.stringify(body ?? { error: { message: `scripted ${status}` } })
        return this.#send(status, text, {
          ...extraHeaders,
          ...headers,
          ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
        })
      }
      case 'raw': {
        const type = { 'content-type': outcome.contentType ?? 'application/json' }
        return this.#send(200, outcome.body, { ...outcome.extraHeaders, ...type })
      }
      case 'reset':
        this.#response.socket?.destroy()
        return
      case 'hang':
        return
      case 'hang-in-body':
      case 'cut':
        return this.#sendHalf(await this.#body({ ...outcome, kind: 'ok' }), outcome.kind === 'cut')
    }
  }

  #send(status: number, text: string, headers: Record<string, string> = {}): void {
    if (this.#response.destroyed) return
    const length = Buffer.byteLength(text)
    this.#response.writeHead(status, { 'content-type': 'application/json', 'content-length': length, ...headers })
    this.#response.end(text)
  }

  #sendHalf(text: string, isCut: boolean): void {
    this.#response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    this.#response.write(text.slice(0, text.length / 2), () => {
      if (isCut) this.#response.socket?.destroy()
    })
  }

  async #body(outcome: Outcome & { kind: 'ok' }): Promise<string> {
    const reply = await this.call.reply(outcome.wantedTokens)
    this.#tokens = { prompt: reply.promptTokens, completion: reply.completionTokens }
    if (this.call.route !== 'chat') return reply.text
    return JSON.stringify(completion(this.call.request, reply, outcome, this.#options))
  }
}

function completion(
  request: ChatRequest,
  reply: Reply,
  { text = reply.text, refusal, finishReason = reply.finishReason, usage, model }: Outcome & { kind: 'ok' },
  { servedSuffix, cachedTokens }: ExchangeOptions,
): unknown {
  const counted = {
    prompt_tokens: reply.promptTokens,
    completion_tokens: reply.completionTokens,
    total_tokens: reply.promptTokens + reply.completionTokens,
    prompt_tokens_details: { cached_tokens: Math.min(cachedTokens, reply.promptTokens) },
  }
  return {
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    created: 0,
    model: model ?? `${request.model}${servedSuffix}`,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: refusal ?? null },
        finish_reason: finishReason,
      },
    ],
    usage: usage === undefined ? counted : usage,
  }
}
