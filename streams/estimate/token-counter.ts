import type { ChatMessage } from '../../operators/model.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'

/** Lines remembered at most. */
const mostLines = 10_000

/**
 * Counts messages line by line and remembers lines: those of prompts and demonstrations come back in every request.
 * The encoding never joins what stands before a line break with a line that begins with a letter or a digit, so the
 * sum is that of the whole.
 */
export class TokenCounter {
  readonly #tokenizer: Tokenizer
  readonly #lines = new Map<string, number>()

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
  }

  of(messages: readonly ChatMessage[]): number {
    return messages.reduce((sum, { content }) => sum + this.#count(content), 0)
  }

  #count(text: string): number {
    return text.split(/(?<=\n)(?=[\p{L}\p{N}])/u).reduce((sum, line) => sum + this.#countLine(line), 0)
  }

  #countLine(line: string): number {
    const known = this.#lines.get(line)
    if (known !== undefined) return known
    const tokens = this.#tokenizer.count(line)
    if (this.#lines.size >= mostLines) this.#lines.clear()
    this.#lines.set(line, tokens)
    return tokens
  }
}
