import type { RateLimit, Usage } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Call, Caller, CallResult } from '../spending/caller.ts'
import { Slots } from '../task/slots.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { Message } from '../transports/transport.ts'
import type { TokenCounter } from './token-counter.ts'
import type { VirtualStage } from './virtual-stage.ts'
import type { Group, Picked } from './waiting.ts'

/** What an input took at one stage. */
export interface Tally extends Usage {
  calls: number
  /** Null where a price is not known. */
  usd: number | null
  latencyMs: number
}

/** What became of one sampled input. */
export interface Sampled {
  group: Group
  promptTokens: number
  /** By number of the stage, of those with a model that it came to. */
  tallies: Map<number, Tally>
  /** Inputs and those that passed, by number of the stage. */
  flows: Map<number, { inputs: number; passed: number }>
  /** What was paid now, and not served from the cache. */
  paid: { calls: number; tokens: number; usd: number | null }
}

export interface SampleOptions {
  stages: readonly VirtualStage[]
  callerOf: (binding: StageBinding) => Caller
  counter: TokenCounter
  concurrency: number
  signal: AbortSignal
}

/** Runs sampled inputs through their stage and the later ones, with real calls; commits nothing. */
export class SampleRun {
  readonly #options: SampleOptions
  /** Limits per minute as the endpoints told them, by endpoint and model. */
  readonly told = new Map<string, Partial<Record<RateLimit['name'], number>>>()

  constructor(options: SampleOptions) {
    this.#options = options
  }

  /** @throws {CallRefused} A limit on spending is reached. @throws {SituError} What ends a run. */
  async run(groups: readonly Group[]): Promise<Sampled[]> {
    const slots = new Slots(this.#options.concurrency)
    const all = groups.flatMap(group => group.picked.map(picked => ({ group, picked })))
    const ended = await Promise.allSettled(
      all.map(async ({ group, picked }) => {
        await slots.acquire()
        try {
          return await this.#one(group, picked)
        } finally {
          slots.release()
        }
      }),
    )
    return ended.map(result => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    })
  }

  async #one(group: Group, { input, partition, promptTokens }: Picked): Promise<Sampled> {
    const paid = { calls: 0, tokens: 0, usd: 0 }
    const sampled: Sampled = { group, promptTokens, tallies: new Map(), flows: new Map(), paid }
    await this.#arrive(group.stage, input, partition, sampled)
    return sampled
  }

  async #arrive(number: number, input: Message, partition: number, sampled: Sampled): Promise<void> {
    const { stages, signal, callerOf } = this.#options
    const stage = stages[number]
    if (!stage) return
    const flow = sampled.flows.get(number) ?? { inputs: 0, passed: 0 }
    sampled.flows.set(number, flow)
    flow.inputs++
    const caller = stage.binding.model
      ? new Measured(callerOf(stage.binding), this.#options.counter, this.told, sampled, number)
      : callerOf(stage.binding)
    const { result, outputs } = await stage.work(input, partition, caller, signal)
    if (result.kind === 'done') flow.passed++
    for (const output of outputs) {
      const next = stages.findIndex(({ binding }) => binding.stage.input === output.topic)
      if (next >= 0) await this.#arrive(next, output, output.partition, sampled)
    }
  }
}

/** Adds up what the calls of one input take, as if none came from the cache. */
class Measured implements Caller {
  readonly #next: Caller
  readonly #counter: TokenCounter
  readonly #told: SampleRun['told']
  readonly #sampled: Sampled
  readonly #tally: Tally

  constructor(next: Caller, counter: TokenCounter, told: SampleRun['told'], sampled: Sampled, stage: number) {
    this.#next = next
    this.#counter = counter
    this.#told = told
    this.#sampled = sampled
    const none = { calls: 0, promptTokens: 0, cachedTokens: 0, completionTokens: 0, usd: 0, latencyMs: 0 }
    this.#tally = sampled.tallies.get(stage) ?? none
    sampled.tallies.set(stage, this.#tally)
  }

  async call(call: Call): Promise<CallResult> {
    try {
      const result = await this.#next.call(call)
      this.#add(call, result)
      return result
    } catch (error) {
      if (error instanceof SituError) this.#tally.calls++
      throw error
    }
  }

  async reject(keys: readonly string[]): Promise<void> {
    await this.#next.reject?.(keys)
  }

  #add(call: Call, { reply, costUsd, latencyMs, isFromCache }: CallResult): void {
    const { messages, model, replyTokens = model.replyTokens } = call
    // What writes no text, such as a moderation model, tells something all the same.
    const counted = () => Math.min(this.#counter.of([{ role: 'assistant', content: reply.text }]), replyTokens)
    const usage = reply.usage ?? {
      promptTokens: this.#counter.of(messages),
      cachedTokens: 0,
      completionTokens: counted(),
    }
    const tally = this.#tally
    tally.calls++
    tally.promptTokens += usage.promptTokens
    tally.cachedTokens += usage.cachedTokens
    tally.completionTokens += usage.completionTokens
    tally.usd = sumOrNull(tally.usd, costUsd)
    tally.latencyMs += latencyMs
    if (isFromCache) return
    const { paid } = this.#sampled
    paid.calls++
    paid.tokens += usage.promptTokens + usage.completionTokens
    paid.usd = sumOrNull(paid.usd, costUsd)
    const key = endpointKey(model)
    const told = this.#told.get(key) ?? {}
    for (const { name, limit } of reply.rateLimits ?? []) told[name] = Math.min(told[name] ?? limit, limit)
    this.#told.set(key, told)
  }
}

export function endpointKey({ endpoint, model }: Call['model']): string {
  return `${endpoint} ${model}`
}

function sumOrNull(left: number | null, right: number | null): number | null {
  return left === null || right === null ? null : left + right
}
