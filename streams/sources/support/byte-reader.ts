/** Longest head that a format is told by. */
export const headBytes = 64 * 1024

/** A byte stream whose beginning can be looked at before it is read. Reads a chunk only when it is asked for one. */
export class ByteReader implements AsyncIterable<Buffer> {
  readonly #iterator: AsyncIterator<Uint8Array>
  #queue: Buffer[] = []
  #ended = false
  #failed = false
  #error: unknown

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#iterator = bytes[Symbol.asyncIterator]()
  }

  /**
   * The beginning: as soon as it is enough, else up to 64 KB or to the end. An error of the stream is not thrown here
   * but by the reading, behind what came before it.
   */
  async peek(enough: (head: Buffer) => boolean): Promise<Buffer> {
    let head = joined(this.#queue)
    while (!this.#ended && head.length < headBytes && !(head.length > 0 && enough(head))) {
      const chunk = await this.#pull()
      if (chunk) this.#queue.push(chunk)
      head = joined(this.#queue)
    }
    return head
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.#queue.shift() ?? (this.#ended ? null : await this.#pull())
      if (chunk) yield chunk
      else if (this.#ended && this.#queue.length === 0) break
    }
    if (this.#failed) throw this.#error
  }

  async close(): Promise<void> {
    await this.#iterator.return?.()
  }

  async #pull(): Promise<Buffer | null> {
    try {
      const result = await this.#iterator.next()
      if (!result.done) return asBuffer(result.value)
      this.#ended = true
    } catch (error) {
      this.#ended = true
      this.#failed = true
      this.#error = error
    }
    return null
  }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function joined(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
}

/** The bytes behind a UTF-8 byte order mark. */
export function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

/** Where the first byte that is no white space stands; -1 where there is none. */
export function firstVisible(bytes: Uint8Array, from = 0): number {
  for (let index = from; index < bytes.length; index++) if (!isSpace(bytes[index])) return index
  return -1
}

/** White space of JSON. */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
