/** Counts and cuts in tokens, so that check and cut have one unit. */
export interface Tokenizer {
  /** Name of the encoding. */
  readonly name: string
  /** Tokens of the text. */
  count(text: string): number
  /**
   * The longest beginning of the text that has at most `maxTokens` tokens and ends with a sentence (else with a word,
   * else with a character). The text itself where it fits. Reads no further than it must.
   */
  cut(text: string, maxTokens: number): { text: string; tokens: number; cut: boolean }
}
