/** The Embedder port: texts as vectors, near where they mean the like. Adapters: streams/embedders/. */
export interface Embedder {
  /** What the vectors depend on: another name gives other vectors. */
  readonly name: string
  readonly dimensions: number
  /** Tokens that it takes of a text; null where there is no limit. */
  readonly contextTokens: number | null
  /**
   * A vector of length 1 for each text, in their order.
   *
   * @throws {SituError} As calls to a model do.
   */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>
}

/** As records hold it: Float32, little endian, whatever the machine. */
export function bytesOf(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT)
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, at * Float32Array.BYTES_PER_ELEMENT)
  return bytes
}

export function vectorOf(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = Math.floor(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT)
  return Float32Array.from({ length }, (_, at) => view.getFloat32(at * Float32Array.BYTES_PER_ELEMENT, true))
}
