/** The Embedder port: texts as vectors, near where they mean the like. Adapters: streams/embedders/. */
export interface Embedder {
  /** What the vectors depend on: another name gives other vectors. */
  readonly name: string
  readonly dimensions: number
  /**
   * A vector of length 1 for each text, in their order.
   *
   * @throws {SituError} As calls to a model do.
   */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>
}
