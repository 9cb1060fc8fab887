import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import type { Config } from '../config/config.ts'
import type { Logger } from '../log.ts'
import type { Pipeline } from '../pipeline.ts'
import { OpenSearches } from '../searches/open-searches.ts'
import type { RetryPolicy } from '../task/call-retries.ts'
import { StageBinding } from '../task/stage-binding.ts'
import { Backlog } from './backlog.ts'
import { type Forecast, Forecaster } from './forecast.ts'
import { recordedFlow, recordedTallies } from './recorded.ts'
import { type Sampled, type SampleOptions, SampleRun, type Tally } from './sample-run.ts'
import { TokenCounter } from './token-counter.ts'
import { VirtualStage } from './virtual-stage.ts'
import { Survey, type Waiting } from './waiting.ts'

export interface EstimateOptions {
  bindings: readonly StageBinding[]
  pipeline: Pipeline
  config: Config
  log: Logger
  retry: RetryPolicy
  /** Inputs of each operator that waits which are run for real. */
  sample: number
  seed: number
  /** Inputs for each operator; null for no limit. */
  limit: number | null
  /** Inputs of each stage that are read; left out for all. With it, repeats of earlier records are not looked for. */
  most?: number
  signal: AbortSignal
}

/** An estimate in the making: first what waits is looked at, then a sample may be run. */
export class Estimation {
  readonly #options: EstimateOptions
  readonly #stages: readonly VirtualStage[]
  readonly #counter: TokenCounter
  readonly #backlog: Backlog
  readonly #searches: OpenSearches
  /** What waits, as far as it is known without a call. */
  readonly waiting: Waiting

  private constructor(
    options: EstimateOptions,
    own: { stages: VirtualStage[]; counter: TokenCounter; backlog: Backlog; waiting: Waiting; searches: OpenSearches },
  ) {
    this.#options = options
    this.#stages = own.stages
    this.#counter = own.counter
    this.#backlog = own.backlog
    this.#searches = own.searches
    this.waiting = own.waiting
  }

  /** Makes no call and writes nothing; to be closed. */
  static async begin(options: EstimateOptions): Promise<Estimation> {
    const { bindings, pipeline, most = Number.POSITIVE_INFINITY } = options
    const tokenizer = createTokenizer()
    const searches = new OpenSearches(pipeline)
    const ports = { ...options, pipeline, tokenizer, searches, restoresState: options.most === undefined }
    const stages = bindings.map((binding, rank) => new VirtualStage(binding, rank, ports))
    const counter = new TokenCounter(tokenizer)
    const backlog = await Backlog.open(pipeline, most)
    const surveyed = stages.map((stage, rank) =>
      stage.binding.snapshot && stage.binding.ports.embedder?.model
        ? new VirtualStage(drawingAtRandom(stage.binding), rank, ports)
        : stage,
    )
    try {
      await searches.open(bindings)
      const waiting = await new Survey({ ...options, stages: surveyed, backlog, counter }).run()
      return new Estimation(options, { stages, counter, backlog, waiting, searches })
    } catch (error) {
      await searches.close()
      throw error
    }
  }

  /** By counted prompts and recorded replies. */
  async withoutCalls(): Promise<Forecast> {
    const { bindings, pipeline } = this.#options
    const tallies = new Map<number, readonly Tally[]>()
    for (const [stage, binding] of bindings.entries()) {
      if (binding.model) tallies.set(stage, await recordedTallies(pipeline, binding))
    }
    return this.#forecast(null, tallies, new Map())
  }

  /** Runs the sample with real calls. @throws {CallRefused} A limit on spending is reached. */
  async withSample(callerOf: SampleOptions['callerOf']): Promise<Forecast> {
    const { config, signal } = this.#options
    const { concurrency } = config.settings
    const run = new SampleRun({ stages: this.#stages, counter: this.#counter, callerOf, concurrency, signal })
    return this.#forecast(await run.run(this.waiting.groups), new Map(), run.told)
  }

  close(): Promise<void> {
    return this.#searches.close()
  }

  #forecast(
    sample: readonly Sampled[] | null,
    tallies: ReadonlyMap<number, readonly Tally[]>,
    told: SampleRun['told'],
  ): Forecast {
    const { bindings, config } = this.#options
    const recorded = bindings.map(({ stage }) => recordedFlow(stage, this.#backlog.tasks))
    return new Forecaster({ bindings, config, waiting: this.waiting, recorded, tallies, sample, told }).make()
  }
}

/** Which demonstrations are near takes calls; prompts with others are about as long. */
function drawingAtRandom({ stage, options, ports: { embedder: _, ...ports } }: StageBinding): StageBinding {
  return new StageBinding(stage, { ...options, draw: undefined }, ports)
}
