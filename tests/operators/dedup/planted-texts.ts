/** Texts made by a seeded generator, and pairs of known similarity. */

export type Random = () => number

export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function words(random: Random, count: number, vocabulary = 5_000): string[] {
  return Array.from({ length: count }, () => `w${Math.floor(random() ** 2 * vocabulary).toString(36)}é`)
}

/** The words with about `share` of them replaced, at places of their own. */
export function changed(random: Random, original: readonly string[], share: number): string[] {
  return original.map(word => (random() < share ? `x${Math.floor(random() * 1e9).toString(36)}` : word))
}

/** Exact Jaccard similarity of the word 3-grams. */
export function jaccard(left: readonly string[], right: readonly string[]): number {
  const grams = (list: readonly string[]) => new Set(list.slice(2).map((_, at) => list.slice(at, at + 3).join(' ')))
  const one = grams(left)
  const other = grams(right)
  const shared = [...one].filter(gram => other.has(gram)).length
  return shared / (one.size + other.size - shared)
}
