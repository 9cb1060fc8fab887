import type { z } from 'zod'
import type { Model, ModelReply, ModelRequest, Parameters } from '../../../operators/model.ts'
import { type ClientOptions, OpenAiClient } from './client.ts'
import { readRateLimits } from './rate-limits.ts'

/** What the models of an endpoint have in common, whatever they are asked for: a client, and what they are called by. */
export abstract class EndpointModel implements Model {
  readonly endpoint: string
  readonly model: string
  readonly parameters: Parameters
  abstract readonly contextTokens: number
  abstract readonly replyTokens: number
  protected readonly client: OpenAiClient

  /**
   * @param ownParameters - Those that each call sets itself.
   * @throws {SituError} CONFIGURATION_INVALID
   */
  constructor(options: ClientOptions, ownParameters: readonly string[]) {
    this.client = new OpenAiClient(options, ownParameters)
    this.endpoint = options.endpoint
    this.model = options.model
    this.parameters = options.parameters
  }

  abstract complete(request: ModelRequest): Promise<ModelReply>

  async close(): Promise<void> {
    this.client.close()
  }

  /**
   * Posts JSON and reads the answer.
   *
   * @returns The reply with what the endpoint told of its limits.
   * @throws {SituError} MODEL_*
   */
  protected async post(
    path: string,
    body: Buffer,
    signal: AbortSignal,
    read: (answer: string) => ModelReply,
  ): Promise<ModelReply> {
    const { headers, text } = await this.client.post(path, body, signal)
    const rateLimits = readRateLimits(headers)
    return { ...read(text), ...(rateLimits.length > 0 && { rateLimits }) }
  }

  /** @throws {SituError} MODEL_RESPONSE_BROKEN where the answer is not of this form. */
  protected parse<T>(answer: string, form: z.ZodType<T>): T {
    const parsed = parseJson(answer)
    const checked = form.safeParse(parsed)
    if (checked.success) return checked.data
    const [issue] = checked.error.issues
    const problem = parsed === undefined ? 'the answer is no JSON' : `${issue?.path.join('.')}: ${issue?.message}`
    throw this.client.failures.broken(problem, answer)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
