/** Those that wait for a turn: the highest rank first, and within a rank in the order of coming. */
export class TurnQueue<T> {
  /** Waiting entries by rank, the highest first. A set keeps the order of coming, and forgets quickly. */
  #ranks: { rank: number; entries: Set<T> }[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Whose turn is next. */
  get head(): T | undefined {
    const [first] = this.#ranks.find(({ entries }) => entries.size > 0)?.entries ?? []
    return first
  }

  add(entry: T, rank: number): void {
    this.#of(rank).add(entry)
    this.#size++
  }

  /** @returns Whether it was still waiting. */
  remove(entry: T, rank: number): boolean {
    const wasThere = this.#of(rank).delete(entry)
    if (wasThere) this.#size--
    return wasThere
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const { entries } of this.#ranks) yield* entries
  }

  #of(rank: number): Set<T> {
    const known = this.#ranks.find(entry => entry.rank === rank)
    if (known) return known.entries
    const entries = new Set<T>()
    this.#ranks = [...this.#ranks, { rank, entries }].sort((left, right) => right.rank - left.rank)
    return entries
  }
}
