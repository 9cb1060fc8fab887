/** No token; above every rank. */
const none = 0x7fff_ffff
const lineFeed = 10
const blank = 32
const padding = 61
const firstPlaces = 64

/**
 * Byte pair encoding of single words, counted only: the tokens themselves are not made.
 *
 * The tokens lie one behind the other in one array, found by a table of hashes over it: 200,000 of them take 5 MB. As
 * strings in a Map they take ten times that, and each look-up would have to make the string that it looks for.
 */
export class BytePairs {
  /** Bytes of the tokens in the order of their ranks; token r ends where token r + 1 starts. */
  readonly #bytes: Uint8Array
  readonly #ends: Uint32Array
  /** Rank + 1, by hash; 0 for a free place. */
  readonly #table: Uint32Array
  /** Rank of each pair of bytes: most look-ups of a word are of these. */
  readonly #pairs = new Int32Array(0x10000).fill(none)
  #word = new Uint8Array(firstPlaces)
  #starts = new Int32Array(firstPlaces)
  #merged = new Int32Array(firstPlaces)

  /**
   * @param file - Ranks as tiktoken writes them: a line for each token, its bytes in base64 and its rank, from rank 0 on.
   * @throws {Error} Where a line has another rank.
   */
  constructor(file: Uint8Array) {
    const { lines, bytes } = measure(file)
    this.#bytes = new Uint8Array(bytes)
    this.#ends = new Uint32Array(lines)
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(lines * 2 + 1)))
    this.#read(file)
  }

  #read(file: Uint8Array): void {
    let end = 0
    let rank = 0
    for (let at = 0; at < file.length; rank += 1) {
      const start = end
      let bits = 0
      let held = 0
      for (; at < file.length && file[at] !== blank; at += 1) {
        if (file[at] === padding) continue
        held = (held << 6) | sextet(file[at] ?? 0)
        bits += 6
        if (bits < 8) continue
        bits -= 8
        this.#bytes[end] = held >> bits
        end += 1
      }
      const lineEnd = file.indexOf(lineFeed, at)
      const next = lineEnd < 0 ? file.length : lineEnd
      const told = Number(Buffer.from(file.subarray(at, next)).toString('latin1'))
      if (told !== rank) throw new Error(`expected rank ${rank}, got ${told}`)
      at = next + 1
      this.#ends[rank] = end
      this.#add(rank, start, end)
    }
  }

  #add(rank: number, start: number, end: number): void {
    const mask = this.#table.length - 1
    let place = hash(this.#bytes, start, end) & mask
    while (this.#table[place] !== 0) place = (place + 1) & mask
    this.#table[place] = rank + 1
    if (end - start === 2) this.#pairs[pairAt(this.#bytes, start)] = rank
  }

  /** Tokens of one word. Takes time square in its length. */
  count(word: string): number {
    const length = this.#encode(word)
    return this.#find(0, length) === none ? this.#merge(length) : 1
  }

  /** Writes the word as UTF-8 and returns how many bytes it has. */
  #encode(word: string): number {
    if (this.#word.length < word.length * 3) this.#reserve(word.length * 3)
    const bytes = this.#word
    for (let at = 0; at < word.length; at += 1) {
      const unit = word.charCodeAt(at)
      if (unit > 0x7f) return encoder.encodeInto(word, bytes).written
      bytes[at] = unit
    }
    return word.length
  }

  #reserve(length: number): void {
    this.#word = new Uint8Array(length * 2)
    this.#starts = new Int32Array(length * 2 + 1)
    this.#merged = new Int32Array(length * 2 + 1)
  }

  /** Joins the pair of the lowest rank, the first of equals, until no neighbours make a token. */
  #merge(length: number): number {
    const starts = this.#starts
    // Rank of the token that the part makes with the one behind it.
    const merged = this.#merged
    let parts = length
    for (let part = 0; part < parts; part += 1) {
      starts[part] = part
      merged[part] = part + 1 < parts ? (this.#pairs[pairAt(this.#word, part)] ?? none) : none
    }
    starts[parts] = parts
    for (let at = lowest(merged, parts); at >= 0; at = lowest(merged, parts)) {
      starts.copyWithin(at + 1, at + 2, parts + 1)
      merged.copyWithin(at, at + 1, parts)
      parts -= 1
      merged[at] = this.#joined(at, parts)
      if (at > 0) merged[at - 1] = this.#joined(at - 1, parts)
    }
    return parts
  }

  #joined(part: number, parts: number): number {
    return part + 1 < parts ? this.#find(this.#starts[part] ?? 0, this.#starts[part + 2] ?? 0) : none
  }

  /** Rank of the token that stands there in the word. */
  #find(start: number, end: number): number {
    const mask = this.#table.length - 1
    for (let place = hash(this.#word, start, end) & mask; ; place = (place + 1) & mask) {
      const rank = (this.#table[place] ?? 0) - 1
      if (rank < 0) return none
      if (this.#isToken(rank, start, end)) return rank
    }
  }

  #isToken(rank: number, start: number, end: number): boolean {
    const from = rank === 0 ? 0 : (this.#ends[rank - 1] ?? 0)
    if ((this.#ends[rank] ?? 0) - from !== end - start) return false
    for (let at = start; at < end; at += 1) {
      if (this.#bytes[from + at - start] !== this.#word[at]) return false
    }
    return true
  }
}

const encoder = new TextEncoder()

/** FNV-1a, mixed once more so that its low bits are even. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0x811c9dc5
  for (let at = start; at < end; at += 1) sum = Math.imul(sum ^ (bytes[at] ?? 0), 0x01000193)
  return sum ^ (sum >>> 15)
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

function pairAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** Lines, and bytes of all tokens. */
function measure(file: Uint8Array): { lines: number; bytes: number } {
  let lines = 0
  let bytes = 0
  for (let at = 0; at < file.length; lines += 1) {
    const end = file.indexOf(blank, at)
    const first = file.indexOf(padding, at)
    bytes += Math.floor((((first >= 0 && first < end ? first : end) - at) * 6) / 8)
    const lineEnd = file.indexOf(lineFeed, end)
    at = lineEnd < 0 ? file.length : lineEnd + 1
  }
  return { lines, bytes }
}

/** The six bits of a character of base64. */
function sextet(code: number): number {
  if (code >= 97) return code - 71
  if (code >= 65) return code - 65
  if (code >= 48) return code + 4
  return code === 43 ? 62 : 63
}
