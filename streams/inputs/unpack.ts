import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib'
import { messageOf } from '../../schemas/errors.ts'

/** Packed bytes that end early or are corrupt. The reader makes it the fault INPUT_CUT. */
export class PackedInputCut extends Error {
  /** In the packed bytes. */
  readonly offset: number

  constructor(offset: number, reason: string, cause?: unknown) {
    super(`gzip: ${reason}`, { cause })
    this.offset = offset
  }
}

/** Output of one step of the decompressor: what is lost before a corrupt place is less than this. */
const outputBytes = 4 * 1024
/** Input of one step: bounds what a highly compressed file unpacks to at once. */
const inputBytes = 16 * 1024

export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b
}

/**
 * Unpacks gzip, also of several members. Everything readable before a cut or a corrupt place comes out first.
 *
 * It reads headers and trailers itself: where Node's gunzip meets a bad one it keeps back the sound bytes before it,
 * or ends quietly.
 *
 * @throws {PackedInputCut} Errors of the packed stream are thrown on.
 */
export async function* unpackGzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const input = new PackedInput(packed)
  for (let member = 1; await beginsMember(input, member); member++) {
    const inflated = new Inflated()
    try {
      for (;;) {
        const piece = await input.atMost(inputBytes)
        if (!piece) throw new PackedInputCut(input.offset, 'the file ends within the compressed data')
        const { chunks, used, error } = await inflated.feed(piece)
        yield* chunks
        if (error) throw new PackedInputCut(input.offset, messageOf(error), error)
        input.skip(used)
        if (inflated.ended) break
      }
      const trailer = await input.exactly(8)
      if (!trailer) throw new PackedInputCut(input.offset, 'the file ends within the checksum')
      if (trailer.readUInt32LE(0) !== inflated.checksum) {
        throw new PackedInputCut(input.offset, `the checksum of member ${member} does not fit: its data are corrupt`)
      }
      input.skip(8)
    } finally {
      inflated.close()
    }
  }
}

/** Whether another member begins here. Zeros behind the last one are padding. */
async function beginsMember(input: PackedInput, member: number): Promise<boolean> {
  const fixed = await input.exactly(10)
  if (!fixed) {
    const left = await input.atMost(10)
    if (member > 1 && (!left || left.every(byte => byte === 0))) return false
    throw new PackedInputCut(input.offset, 'the file ends within the header')
  }
  if (member > 1 && fixed[0] === 0) {
    for (let rest = await input.atMost(inputBytes); rest; rest = await input.atMost(inputBytes)) {
      if (!rest.every(byte => byte === 0))
        throw new PackedInputCut(input.offset, 'something stands behind the compressed data')
      input.skip(rest.length)
    }
    return false
  }
  if (!isGzip(fixed) || fixed[2] !== 8)
    throw new PackedInputCut(input.offset, `no gzip header stands where member ${member} begins`)
  const flags = fixed[3] ?? 0
  input.skip(10)
  if (flags & 4) input.skip(2 + (await needed(input, 2)).readUInt16LE(0))
  if (flags & 8) await skipText(input)
  if (flags & 16) await skipText(input)
  if (flags & 2) input.skip((await needed(input, 2)).length)
  return true
}

async function needed(input: PackedInput, count: number): Promise<Buffer> {
  const bytes = await input.exactly(count)
  if (!bytes) throw new PackedInputCut(input.offset, 'the file ends within the header')
  return bytes
}

/** Skips a text that ends with a zero. */
async function skipText(input: PackedInput): Promise<void> {
  for (;;) {
    const piece = await input.atMost(1024)
    if (!piece) throw new PackedInputCut(input.offset, 'the file ends within the header')
    const end = piece.indexOf(0)
    input.skip(end < 0 ? piece.length : end + 1)
    if (end >= 0) return
  }
}

/** The packed bytes with a position in them. */
class PackedInput {
  readonly #iterator: AsyncIterator<Uint8Array>
  #bytes: Buffer = Buffer.alloc(0)
  /** Bytes that are to be skipped and not read yet. */
  #owed = 0
  #offset = 0

  constructor(packed: AsyncIterable<Uint8Array>) {
    this.#iterator = packed[Symbol.asyncIterator]()
  }

  get offset(): number {
    return this.#offset
  }

  skip(count: number): void {
    const held = Math.min(count, this.#bytes.length)
    this.#bytes = this.#bytes.subarray(held)
    this.#offset += held
    this.#owed += count - held
  }

  /** The next bytes, one at least; null at the end. They stay until they are skipped. */
  async atMost(count: number): Promise<Buffer | null> {
    return (await this.#fill(1)) ? this.#bytes.subarray(0, count) : null
  }

  /** The next bytes, all of them; null where the end comes first. */
  async exactly(count: number): Promise<Buffer | null> {
    return (await this.#fill(count)) ? this.#bytes.subarray(0, count) : null
  }

  async #fill(count: number): Promise<boolean> {
    while (this.#bytes.length < count) {
      const { value, done } = await this.#iterator.next()
      if (done) return false
      this.#bytes = this.#bytes.length === 0 ? Buffer.from(value) : Buffer.concat([this.#bytes, value])
      if (this.#owed > 0) {
        const owed = this.#owed
        this.#owed = 0
        this.skip(owed)
      }
    }
    return true
  }
}

/** One member's data, decompressed step by step. */
class Inflated {
  readonly #inflate: InflateRaw = createInflateRaw({ chunkSize: outputBytes })
  #chunks: Buffer[] = []
  #fed = 0
  #error: Error | null = null
  #wake: (() => void) | null = null
  #checksum = 0
  ended = false

  constructor() {
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#checksum = crc32(chunk, this.#checksum)
      this.#chunks.push(chunk)
    })
    this.#inflate.on('error', (error: Error) => {
      this.#error = error
      this.#wake?.()
    })
  }

  get checksum(): number {
    return this.#checksum
  }

  /** @returns What came out, and how many of the bytes belong to the member. */
  async feed(piece: Buffer): Promise<{ chunks: Buffer[]; used: number; error: Error | null }> {
    await new Promise<void>(resolve => {
      this.#wake = resolve
      this.#inflate.write(piece, () => resolve())
    })
    while (!this.#error && this.#inflate.readableLength > 0) this.#inflate.read()
    const chunks = this.#chunks
    this.#chunks = []
    const used = this.#inflate.bytesWritten - this.#fed
    this.#fed = this.#inflate.bytesWritten
    this.ended = used < piece.length
    return { chunks, used, error: this.#error }
  }

  close(): void {
    this.#inflate.destroy()
  }
}
