import { hash } from '../../operators/hash.ts'
import type { ChatMessage } from '../../operators/model.ts'
import { type Caller, CallRefused } from '../spending/caller.ts'
import type { Message } from '../transports/transport.ts'
import type { Backlog, WaitingInput } from './backlog.ts'
import type { TokenCounter } from './token-counter.ts'
import type { VirtualStage } from './virtual-stage.ts'

/** An input of the sample. */
export interface Picked {
  input: Message
  partition: number
  promptTokens: number
  /** The smallest ones are taken: the same for the same seed, whatever else waits. */
  place: string
}

/** What has come to a stage for certain, weights added up. */
export interface Flow {
  inputs: number
  passed: number
  /** Dropped or failed. */
  left: number
}

/** The inputs of a stage with a model whose first request is known now. */
export interface Group {
  /** Number of the stage in the chain. */
  stage: number
  size: number
  promptTokens: number
  picked: Picked[]
}

/** What waits, as far as it can be known without a call. */
export interface Waiting {
  flows: Flow[]
  groups: Group[]
  /** Records that come out of the chain without a call. */
  rows: number
  /** Inputs that were looked at, and whether all were. */
  read: number
  isWhole: boolean
  /** What the stages without a model took. */
  freeSeconds: number
}

export interface SurveyOptions {
  stages: readonly VirtualStage[]
  backlog: Backlog
  counter: TokenCounter
  sample: number
  seed: number
  /** Inputs for each operator; null for no limit. */
  limit: number | null
  signal: AbortSignal
}

const noCalls: Caller = { call: () => Promise.reject(new CallRefused()) }

/**
 * Works what waits as far as it goes without a call: stages without a model for real, so that what they drop is
 * known; stages with a model up to their first request, of which the tokens are counted. Holds numbers and the sample.
 */
export class Survey {
  readonly #options: SurveyOptions
  readonly #waiting: Waiting
  readonly #left: number[]

  constructor(options: SurveyOptions) {
    this.#options = options
    const { stages, limit } = options
    this.#left = stages.map(() => limit ?? Number.POSITIVE_INFINITY)
    this.#waiting = {
      flows: stages.map(() => ({ inputs: 0, passed: 0, left: 0 })),
      groups: stages.flatMap(({ binding }, stage) =>
        binding.model ? { stage, size: 0, promptTokens: 0, picked: [] } : [],
      ),
      rows: 0,
      read: 0,
      isWhole: true,
      freeSeconds: 0,
    }
  }

  /** Where it is interrupted, what it has seen until then. */
  async run(): Promise<Waiting> {
    try {
      // The last stage first: what waits there already was there before what comes to it now.
      for (const stage of [...this.#options.stages.keys()].reverse()) await this.#read(stage)
    } catch (error) {
      if (!this.#options.signal.aborted) throw error
    }
    return this.#waiting
  }

  async #read(number: number): Promise<void> {
    const { stages, backlog, signal } = this.#options
    const stage = stages[number]?.binding.stage
    if (!stage || (this.#left[number] ?? 0) <= 0) return
    for await (const input of backlog.of(stage, signal)) {
      if (signal.aborted) return
      this.#waiting.read++
      if (input.weight > 1) this.#waiting.isWhole = false
      await this.#arrive(number, input)
      if ((this.#left[number] ?? 0) <= 0) return
    }
  }

  async #arrive(number: number, { input, partition, weight }: WaitingInput): Promise<void> {
    const { stages, signal, counter } = this.#options
    const [stage, flow] = [stages[number], this.#waiting.flows[number]]
    const left = this.#left[number] ?? 0
    if (!stage || !flow || left <= 0) return
    const counted = Math.min(weight, left)
    this.#left[number] = left - counted
    flow.inputs += counted
    const request = new FirstRequest()
    const begun = performance.now()
    try {
      const caller = stage.binding.model ? request : noCalls
      const { result, outputs } = await stage.work(input, partition, caller, signal)
      if (!stage.binding.model) this.#waiting.freeSeconds += ((performance.now() - begun) / 1000) * counted
      if (result.kind === 'done') flow.passed += counted
      else flow.left += counted
      for (const output of outputs) await this.#passOn(output, counted)
    } catch (error) {
      if (!(error instanceof CallRefused) || !request.messages) throw error
      this.#addTo(number, { input, partition, weight: counted }, counter.of(request.messages))
    }
  }

  async #passOn(output: Message, weight: number): Promise<void> {
    const next = this.#options.stages.findIndex(({ binding }) => binding.stage.input === output.topic)
    if (next < 0) this.#waiting.rows += weight
    else await this.#arrive(next, { input: output, partition: output.partition, weight })
  }

  #addTo(number: number, { input, partition, weight }: WaitingInput, promptTokens: number): void {
    const { sample, seed } = this.#options
    const group = this.#waiting.groups.find(({ stage }) => stage === number)
    if (!group) return
    group.size += weight
    group.promptTokens += weight * promptTokens
    const id = input.key || `${input.topic}/${input.partition}/${input.offset}`
    const place = hash('sample', String(seed), id)
    if (group.picked.length >= sample && place >= (group.picked.at(-1)?.place ?? '')) return
    group.picked.push({ input, partition, promptTokens, place })
    group.picked.sort((left, right) => (left.place < right.place ? -1 : 1))
    group.picked.length = Math.min(group.picked.length, sample)
  }
}

/** Takes the messages of the first call and makes none. */
class FirstRequest implements Caller {
  messages: readonly ChatMessage[] | null = null

  call({ messages }: Parameters<Caller['call']>[0]): Promise<never> {
    this.messages = messages
    return Promise.reject(new CallRefused())
  }
}
