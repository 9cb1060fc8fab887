/** The Search port: finds documents by words. Adapters: streams/searches/. */

export interface FoundDocument {
  id: string
  url: string | null
  title: string | null
  /** ISO 639-1 code. */
  language: string | null
  text: string
  /** How well it fits, by the measure of the adapter: more is better, and 0 is nothing in common. */
  relevance: number
}

export interface Search {
  /** What the results depend on, beside what is searched: another name gives other results. */
  readonly name: string
  /**
   * Documents for the words, the best first.
   *
   * @param words - Concepts or entities, each of one or more words.
   * @throws {SituError} SEARCH_*
   */
  find(words: readonly string[], options: { limit: number; signal: AbortSignal }): Promise<FoundDocument[]>
}
