import type { BenchmarkPrompt } from '../../../operators/decontaminate/benchmark-index.ts'

/** Letters and digits alone: what is left of a text without case, punctuation and spacing. */
export function joined(text: string): string {
  return text
    .normalize('NFKC')
    .toUpperCase()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}]/gu, '')
}

/** Prompts of the second set whose text is in the first too, each with those that it equals. */
export function sharedPrompts(
  first: readonly BenchmarkPrompt[],
  second: readonly BenchmarkPrompt[],
): { prompt: BenchmarkPrompt; equals: BenchmarkPrompt[] }[] {
  const byText = new Map<string, BenchmarkPrompt[]>()
  for (const prompt of first) {
    const key = joined(prompt.text)
    byText.set(key, [...(byText.get(key) ?? []), prompt])
  }
  return second.flatMap(prompt => {
    const equals = byText.get(joined(prompt.text))
    return equals ? [{ prompt, equals }] : []
  })
}
