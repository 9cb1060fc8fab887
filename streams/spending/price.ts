import type { Usage } from '../../operators/model.ts'

/** US dollars for a million tokens. */
export interface Price {
  input: number
  /** For input tokens that the endpoint serves from its prefix cache; left out, those of `input`. */
  cachedInput?: number | undefined
  output: number
}

/** What a reply cost, in US dollars; null where no price is known, or no usage of what is not free. */
export function costOf(price: Price | null, usage: Usage | null): number | null {
  if (price && [price.input, price.cachedInput ?? 0, price.output].every(one => one === 0)) return 0
  if (!price || !usage) return null
  const { promptTokens, cachedTokens, completionTokens } = usage
  const cached = Math.min(cachedTokens, promptTokens)
  const millionths =
    (promptTokens - cached) * price.input +
    cached * (price.cachedInput ?? price.input) +
    completionTokens * price.output
  return millionths / 1_000_000
}
