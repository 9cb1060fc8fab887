import type { StageEmbedder } from './embedder.ts'

/** Lengths of the runs of letters that are counted, beside whole words. */
const gramLengths = [3, 4]
/** Ideographs and kana are written without spaces: their runs say more than what stands between two spaces. */
const wordPattern = /[\p{L}\p{N}\p{M}]+/gu
/** A longer word is none, and costs time. */
const maxWordCharacters = 1_024

/**
 * Vectors of hashed n-grams: words, and runs of three and four letters within them, so that forms of one word are near
 * each other. Needs no model and no download; the same text has the same vector on every machine.
 */
export class HashedNgrams implements StageEmbedder {
  readonly name: string
  readonly dimensions: number
  readonly contextTokens = null

  constructor(dimensions = 1024) {
    this.dimensions = dimensions
    this.name = `hashed-ngrams-${dimensions}`
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted()
    return texts.map(text => hashedNgrams(text, this.dimensions))
  }
}

/** A vector of length 1. A frequent n-gram counts by the root of its number: else articles would decide. */
export function hashedNgrams(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  for (const [gram, count] of countGrams(text)) {
    const sum = hashText(gram)
    const at = (sum >>> 1) % dimensions
    vector[at] = (vector[at] ?? 0) + (sum & 1 ? 1 : -1) * Math.sqrt(count)
  }
  const length = Math.hypot(...vector)
  // A text without a word is near no other, and near itself.
  if (length === 0) vector[0] = 1
  return length === 0 ? vector : vector.map(value => value / length)
}

function countGrams(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  const add = (gram: string) => counts.set(gram, (counts.get(gram) ?? 0) + 1)
  for (const [whole] of text.normalize('NFKC').toLowerCase().matchAll(wordPattern)) {
    const word = whole.slice(0, maxWordCharacters)
    add(word)
    for (const length of gramLengths) {
      for (let start = 0; start + length < word.length + 1; start++)
        add(`${length} ${word.slice(start, start + length)}`)
    }
  }
  return counts
}

/** FNV-1a, mixed once more so that its low bits are even. */
function hashText(text: string): number {
  let sum = 0x811c9dc5
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193)
  sum = Math.imul(sum ^ (sum >>> 16), 0x45d9f3b)
  return (sum ^ (sum >>> 15)) >>> 0
}
