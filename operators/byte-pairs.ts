/** No token; above every rank. */
const none = 0x7fff_ffff

/**
 * Byte pair encoding of single words, counted only: the tokens themselves are not made.
 *
 * A sequence of bytes is a string with a character for each byte, so that a word in ASCII is looked up as it is.
 */
export class BytePairs {
  readonly #ranks = new Map<string, number>()
  /** Rank of each pair of bytes: most look-ups of a word are of these. */
  readonly #pairs = new Int32Array(0x10000).fill(none)
  #starts = new Int32Array(64)
  #merged = new Int32Array(64)

  /** @param tokens - By rank; one that is no whole text in UTF-8 is given by its bytes. */
  constructor(tokens: readonly (string | readonly number[])[]) {
    tokens.forEach((token, rank) => {
      const bytes = typeof token === 'string' ? byteString(token) : String.fromCharCode(...token)
      this.#ranks.set(bytes, rank)
      if (bytes.length === 2) this.#pairs[pairAt(bytes, 0)] = rank
    })
  }

  /** Tokens of one word. Takes time square in its length. */
  count(word: string): number {
    const bytes = byteString(word)
    return this.#ranks.has(bytes) ? 1 : this.#merge(bytes)
  }

  /** Joins the pair of the lowest rank, the first of equals, until no neighbours make a token. */
  #merge(bytes: string): number {
    this.#reserve(bytes.length + 1)
    const starts = this.#starts
    // Rank of the token that the part makes with the one behind it.
    const merged = this.#merged
    let parts = bytes.length
    for (let part = 0; part < parts; part += 1) {
      starts[part] = part
      merged[part] = part + 1 < parts ? (this.#pairs[pairAt(bytes, part)] ?? none) : none
    }
    starts[parts] = parts
    for (let at = lowest(merged, parts); at >= 0; at = lowest(merged, parts)) {
      starts.copyWithin(at + 1, at + 2, parts + 1)
      merged.copyWithin(at, at + 1, parts)
      parts -= 1
      merged[at] = this.#rank(bytes, at, parts)
      if (at > 0) merged[at - 1] = this.#rank(bytes, at - 1, parts)
    }
    return parts
  }

  #rank(bytes: string, part: number, parts: number): number {
    if (part + 1 >= parts) return none
    return this.#ranks.get(bytes.slice(this.#starts[part], this.#starts[part + 2])) ?? none
  }

  #reserve(length: number): void {
    if (length <= this.#starts.length) return
    this.#starts = new Int32Array(length * 2)
    this.#merged = new Int32Array(length * 2)
  }
}

function lowest(ranks: Int32Array, count: number): number {
  let best = none
  let at = -1
  for (let index = 0; index < count; index += 1) {
    const rank = ranks[index] ?? none
    if (rank < best) {
      best = rank
      at = index
    }
  }
  return at
}

function pairAt(bytes: string, at: number): number {
  return (bytes.charCodeAt(at) << 8) | bytes.charCodeAt(at + 1)
}

function byteString(text: string): string {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.from(text).toString('latin1')
  }
  return text
}
