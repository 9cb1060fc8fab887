import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { Context, RecordedModel } from '../../operators/operator.ts'
import type { Search } from '../../operators/search.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Caller } from '../spending/caller.ts'
import type { CallRecorder } from './call-recorder.ts'
import { CallRetries, type RetryPorts, withRetries } from './call-retries.ts'
import type { RecordLimit } from './record-limit.ts'
import type { StageBinding } from './stage-binding.ts'

/** One output in the making. */
export interface Sample {
  number: number
  recorder: CallRecorder | null
  demonstrations: readonly string[]
}

/** What makes the calls of one record; null for what its operator does not use. */
interface Calls {
  sample: Sample
  search: Search | null
}

interface ContextPorts extends RetryPorts {
  binding: StageBinding
  tokenizer: Tokenizer
  index: StatefulIndex | null
  caller: Caller
  rank: number
}

type MakeSamples = Context<Record<string, unknown>>['samples']

/** What the operator of one record gets. A class: an object with getters of its own costs more than many operators. */
export class WorkContext implements Context<Record<string, unknown>> {
  readonly id: string
  readonly samples: MakeSamples
  readonly #ports: ContextPorts
  readonly #limit: RecordLimit
  readonly #sample: Sample
  readonly #search: Search | null

  constructor(id: string, ports: ContextPorts, limit: RecordLimit, { sample, search }: Calls, samples: MakeSamples) {
    this.id = id
    this.samples = samples
    this.#ports = ports
    this.#limit = limit
    this.#sample = sample
    this.#search = search
  }

  get sample() {
    return this.#sample.number
  }

  showed(ids: readonly string[]): void {
    this.#sample.demonstrations = ids
    if (this.#sample.recorder) this.#sample.recorder.demonstrations = ids
  }

  get options() {
    return this.#ports.binding.options
  }

  get tokenizer() {
    return this.#ports.tokenizer
  }

  get signal() {
    return this.#limit.signal
  }

  get prompt() {
    return this.#declared(this.#ports.binding.prompt, 'prompt')
  }

  get model(): RecordedModel {
    return this.#declared(this.#sample.recorder, 'model')
  }

  get demonstrations() {
    return this.#declared(this.#ports.binding.snapshot, 'demonstrations')
  }

  get index() {
    return this.#declared(this.#ports.index, 'index')
  }

  get benchmarks() {
    return this.#declared(this.#ports.binding.ports.benchmarks, 'benchmarks')
  }

  get search() {
    return this.#declared(this.#search, 'search')
  }

  get embedder() {
    const { caller, rank, draining, binding, retry, clock } = this.#ports
    const embedder = this.#declared(binding.ports.embedder, 'embedder')
    const { model } = embedder
    if (!model || !embedder.through) return embedder
    const { recorder } = this.#sample
    const { name, operator } = binding.stage
    if (operator.embeds && recorder) {
      return embedder.through(request => recorder.complete(request), recorder.contextTokens)
    }
    const retries = new CallRetries(retry, this.id, clock.now())
    const onWait = (isWaiting: boolean) => this.#limit.hold(isWaiting)
    return embedder.through((request, signal) => {
      const call = { ...request, model, operator: name, rank, sample: 0, signal, draining, onWait }
      return withRetries(async () => (await caller.call(call)).reply, retries, this.#ports, this.#limit)
    })
  }

  #declared<T>(port: T | null | undefined, name: string): T {
    if (port !== null && port !== undefined) return port
    const { stage } = this.#ports.binding
    throw new SituError('OPERATOR_BUG', `${stage.name}: uses the port ${name} without declaring it`)
  }
}
