/** The Search port: finds documents by words. Adapters: streams/searches/. */

export interface FoundDocument {
  id: string
  url: string | null
  title: string | null
  /** ISO 639-1 code. */
  language: string | null
  text: string
  /**
   * How much of what was looked for the document is about, 0 to 1: a measure that can be compared between queries.
   * Where the adapter knows which words are rare, those weigh more.
   */
  relevance: number
}

export interface SearchOptions {
  /** Documents at most. */
  limit: number
  signal: AbortSignal
}

export interface Search {
  /**
   * What the results depend on, beside what is searched: another name gives other results. What is searched changes all
   * the time, so the same words may find something else later; the records tell what was found.
   */
  readonly name: string
  /**
   * Documents for the words, the best first; none where nothing has a word in common.
   *
   * @param keywords - Concepts or entities, each of one or more words, as a model wrote them: nothing in them is syntax.
   * @throws {SituError} SEARCH_*; those that may pass are tried again by the runtime.
   */
  find(keywords: readonly string[], options: SearchOptions): Promise<FoundDocument[]>
}
