import type { BenchmarkIndex } from '../../operators/decontaminate/benchmark-index.ts'
import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { DemonstrationSnapshot } from '../../operators/demonstrations.ts'
import { canonicalJson, hash } from '../../operators/hash.ts'
import type { Model } from '../../operators/model.ts'
import type { Prompt } from '../../operators/prompt.ts'
import type { Prompt as PromptRecord } from '../../schemas/records.ts'
import type { Stage } from '../chain/topology.ts'
import type { StageEmbedder } from '../embedders/embedder.ts'
import type { SearchSource } from '../searches/search.ts'
import { snapshotTexts } from '../snapshots/snapshot-text.ts'

/** What an operator declares, and gets. */
export interface StagePorts {
  prompt: Prompt | null
  model: Model | null
  snapshot: DemonstrationSnapshot | null
  /** The snapshot is that of the moment, whichever it is: another one is no change of the configuration. */
  isLive?: boolean
  benchmarks?: BenchmarkIndex
  search?: SearchSource
  embedder?: StageEmbedder
}

/** A stage with everything that its outputs depend on. */
export class StageBinding {
  readonly stage: Stage
  readonly options: Record<string, unknown>
  readonly ports: StagePorts
  readonly prompt: Prompt | null
  readonly model: Model | null
  readonly snapshot: DemonstrationSnapshot | null
  /** What the outputs depend on, as JSON; its hash is kept with the outputs. */
  readonly configurationText: string
  readonly configuration: string
  #common: string | null = null

  constructor(stage: Stage, options: Record<string, unknown>, ports: StagePorts) {
    this.stage = stage
    this.options = options
    this.ports = ports
    this.prompt = ports.prompt
    this.model = ports.model
    this.snapshot = ports.snapshot
    this.configurationText = canonicalJson({
      operator: stage.name,
      version: stage.operator.version,
      options,
      prompt: this.prompt?.hash ?? null,
      model: this.model?.model ?? null,
      parameters: this.model?.parameters ?? null,
      limits: this.#limits(),
      snapshot: (ports.isLive && this.snapshot ? 'live' : this.snapshot?.hash) ?? null,
      ...this.#others(),
    })
    this.configuration = hash(this.configurationText)
  }

  /** A new index of the operator; null for one without state. */
  createIndex(): StatefulIndex | null {
    const { operator } = this.stage
    return operator.createIndex?.(this.options, { embedder: this.ports.embedder?.name ?? '' }) ?? null
  }

  /** The same on another stage of this operator: none of the outputs depends on where they lie. */
  at(stage: Stage): StageBinding {
    return new StageBinding(stage, this.options, this.ports)
  }

  /** Id of an output: the same work has the same id, and work done differently never has. */
  outputId(input: string, demonstrations: readonly string[], sample: number, index: number): string {
    const { name, operator } = this.stage
    return hash(input, name, String(operator.version), this.#made(demonstrations, sample, index))
  }

  /** What an output is made with, as JSON. Without demonstrations it is the same for every input. */
  #made(demonstrations: readonly string[], sample: number, index: number): string {
    const isCommon = demonstrations.length === 0 && sample === 0 && index === 0
    if (isCommon && this.#common) return this.#common
    const made = canonicalJson({
      options: this.options,
      prompt: this.prompt?.hash ?? null,
      demonstrations,
      model: this.model?.model ?? null,
      parameters: this.model?.parameters ?? null,
      limits: this.#limits(),
      ...this.#others(),
      sample,
      index,
    })
    if (isCommon) this.#common = made
    return made
  }

  /** What stages have that do without a model as often. */
  #others(): object {
    const { benchmarks, search, embedder } = this.ports
    return {
      ...(benchmarks && { benchmarks: benchmarks.hash }),
      ...(search && { search: search.name }),
      ...(embedder && { embedder: embedder.name }),
    }
  }

  /** They decide how much of a document is shown. */
  #limits(): object | null {
    const { model } = this
    return model && { contextTokens: model.contextTokens, replyTokens: model.replyTokens }
  }

  /** The texts that provenance names by hash, for the topic `prompt`. */
  texts(): PromptRecord[] {
    const operator = this.stage.name
    const texts: PromptRecord[] = [
      { id: this.configuration, kind: 'configuration', operator, text: this.configurationText },
    ]
    if (this.prompt) texts.push({ id: this.prompt.hash, kind: 'prompt', operator, text: this.prompt.text })
    if (this.snapshot) texts.push(...snapshotTexts(this.snapshot))
    return texts
  }
}
