/** Words kept in each of the two tables; the newest ones are in both at most. */
const tableSize = 32_768
/** Words up to here are strings of their own; a longer one is a view that keeps the text it was cut from. */
const longestOwnString = 12
const longestKept = 1024

/**
 * Tokens of the words that came lately. Texts repeat few words often: a small table of those answers several times
 * faster than the encoding's 200,000 entries, and nothing else of the text stays in memory.
 */
export class WordCounts {
  readonly #count: (word: string) => number
  #recent = new Map<string, number>()
  #older = new Map<string, number>()

  /** @param count - Counts the tokens of one word. */
  constructor(count: (word: string) => number) {
    this.#count = count
  }

  of(word: string): number {
    return this.#recent.get(word) ?? this.#find(word)
  }

  #find(word: string): number {
    const tokens = this.#older.get(word) ?? this.#count(word)
    if (word.length > longestKept) return tokens
    if (this.#recent.size >= tableSize) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(word.length > longestOwnString ? copy(word) : word, tokens)
    return tokens
  }
}

function copy(word: string): string {
  return Buffer.from(word, 'utf16le').toString('utf16le')
}
