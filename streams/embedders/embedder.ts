import type { Embedder } from '../../operators/embedder.ts'
import type { Model } from '../../operators/model.ts'
import type { Call, Caller } from '../spending/caller.ts'

/** What the calls of an embedder are made with and go through. */
export interface EmbeddingCalls extends Pick<Call, 'operator' | 'rank' | 'draining' | 'onWait'> {
  caller: Caller
}

/** An embedder as a stage is bound to it. */
export interface StageEmbedder extends Embedder {
  /** What its calls are made to; left out for one that makes none. */
  readonly model?: Model
  /** The same with its calls through the limits, the cache and the budget of a run. */
  through?(calls: EmbeddingCalls): Embedder
}
