/** Shorter ones are quicker copied here than by a call. */
const leastCallBytes = 32

/**
 * Output of a codec that repeats what it has written before. It grows, but never above the size that it was told, and
 * nothing is read from outside: the bytes are somebody else's.
 */
export class BackReferences {
  #bytes: Buffer
  #end = 0
  #most: number

  /** @param most - Bytes that may be written. */
  constructor(most: number) {
    this.#most = most
    this.#bytes = Buffer.allocUnsafe(Math.min(most, 1 << 20))
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#end)
  }

  /** So many more bytes may be written from here on. */
  allow(bytes: number): void {
    this.#most = this.#end + bytes
  }

  /** @throws {RangeError} The bytes end before, or there is no room for them. */
  literal(from: Buffer, at: number, length: number): void {
    if (at + length > from.length) throw new RangeError(`${length} bytes of which there are ${from.length - at}`)
    this.#reserve(length)
    from.copy(this.#bytes, this.#end, at, at + length)
    this.#end += length
  }

  /**
   * What lies so far back, once more; it may reach into what it writes.
   *
   * @throws {RangeError} It lies before the beginning, or there is no room for it.
   */
  repeat(distance: number, length: number): void {
    if (distance < 1 || distance > this.#end) throw new RangeError(`${distance} bytes back from byte ${this.#end}`)
    this.#reserve(length)
    const bytes = this.#bytes
    let from = this.#end - distance
    if (length >= leastCallBytes && distance >= length) bytes.copyWithin(this.#end, from, from + length)
    else for (let to = this.#end; to < this.#end + length; to++) bytes[to] = bytes[from++] ?? 0
    this.#end += length
  }

  #reserve(length: number): void {
    const wanted = this.#end + length
    if (wanted > this.#most) throw new RangeError(`more than the ${this.#most} bytes that were told`)
    if (wanted <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(wanted, 2 * this.#bytes.length))
    this.written.copy(larger)
    this.#bytes = larger
  }
}
