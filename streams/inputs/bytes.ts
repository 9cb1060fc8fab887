import { constants, openSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { Socket } from 'node:net'

const chunkBytes = 64 * 1024

/** The bytes of a file, a chunk at a time: none is read before it is asked for. */
export async function* fileBytes(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  if ((await stat(path)).isFIFO()) {
    yield* pipeBytes(path, signal)
    return
  }
  const file = await open(path, 'r')
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(chunkBytes), 0, chunkBytes, null)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** A named pipe, or one of the shell's. Opened and read as a file it would hold the process until a writer comes. */
async function* pipeBytes(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const socket = new Socket({ fd, readable: true, writable: false })
  const stop = () => socket.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    yield* socket
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

/** Thrown by a byte stream whose reading was aborted. It is no fault of the input. */
export class ReadingAborted extends Error {}

/**
 * A byte stream that ends with `ReadingAborted` once the signal is aborted, even while the stream beneath is silent.
 * That stream is then left: destroyed where it can be.
 */
export class AbortableBytes implements AsyncIterable<Uint8Array> {
  readonly #bytes: AsyncIterable<Uint8Array> & { destroy?: () => unknown }
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal
  #pending: ((reason: ReadingAborted) => void) | null = null
  #left = false
  readonly #onAbort = () => {
    this.#pending?.(new ReadingAborted())
    this.#leave()
  }

  constructor(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    this.#bytes = bytes
    this.#iterator = bytes[Symbol.asyncIterator]()
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      },
    }
  }

  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort)
    if (this.#left) return
    this.#left = true
    await this.#iterator.return?.()
  }

  // One promise a read: racing each read against one promise for the abort would gather reactions on it for ever.
  #next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#signal.aborted) {
        reject(new ReadingAborted())
        this.#leave()
        return
      }
      this.#pending = reject
      this.#iterator.next().then(resolve, reject)
    })
  }

  /** Does not wait: a read that never ends must not hold the abort. */
  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.#bytes.destroy?.()
    this.#iterator.return?.()?.then(undefined, () => {})
  }
}
