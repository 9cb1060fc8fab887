import type { Embedder } from '../../operators/embedder.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'

/** Makes a call to an embedder's model. */
export type EmbeddingCall = (
  request: Pick<ModelRequest, 'messages' | 'replySchema'>,
  signal: AbortSignal,
) => Promise<ModelReply>

/** An embedder as a stage is bound to it. */
export interface StageEmbedder extends Embedder {
  /** What its calls are made to; left out for one that makes none. */
  readonly model?: Model
  /**
   * The same with its calls made by another: through the limits, the cache and the budget of a run.
   *
   * @param contextTokens - Tokens that it takes of a text; left out, as many as else.
   */
  through?(call: EmbeddingCall, contextTokens?: number): Embedder
}
