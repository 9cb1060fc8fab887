import type { BenchmarkIndex, BenchmarkPrompt } from '../../../operators/decontaminate/benchmark-index.ts'
import { isUnspacedUnit, unitsOf } from '../../../operators/text-units.ts'
import { joined } from './same-text.ts'

export interface Planted {
  planted: number
  found: number
  /** Of those found, whose n-gram is not in the prompt that was planted. */
  elsewhere: number
}

/** What is done to a prompt before it is looked for. `around` is text that holds no prompt. */
const plantings: Readonly<Record<string, (text: string, around: readonly [string, string]) => string>> = {
  whole: text => text,
  're-cased': text => text.toUpperCase(),
  'other punctuation and form': text => text.normalize('NFD').replace(/[.,;:!?。、]/g, ' … '),
  'text around': (text, [before, after]) => `${before} ${text} ${after}`,
}

/** Length class of a prompt, by its words. */
function lengthClass(text: string): string {
  const units = unitsOf(text)
  if (units.some(isUnspacedUnit)) return units.length < 22 ? 'unspaced, short' : 'unspaced, long'
  if (units.length < 5) return 'below 5 words'
  if (units.length < 13) return '5 to 12 words'
  if (units.length < 30) return '13 to 29 words'
  return units.length < 100 ? '30 to 99 words' : '100 words and more'
}

/** Looks for each prompt in each planting; by length class and planting. Prompts below 5 words only where alone. */
export function findPlanted(
  index: BenchmarkIndex,
  prompts: readonly BenchmarkPrompt[],
  around: readonly string[],
): Map<string, Planted> {
  const counts = new Map<string, Planted>()
  for (const [at, { text }] of prompts.entries()) {
    const length = lengthClass(text)
    const texts: [string, string] = [around[at % around.length] ?? '', around[(at + 1) % around.length] ?? '']
    for (const [name, plant] of Object.entries(plantings)) {
      if (length === 'below 5 words' && name === 'text around') continue
      const key = `${length}, ${name}`
      const count = counts.get(key) ?? { planted: 0, found: 0, elsewhere: 0 }
      counts.set(key, count)
      const match = index.find(plant(text, texts))
      count.planted += 1
      if (match) count.found += 1
      if (match && !joined(text).includes(joined(match.ngram))) count.elsewhere += 1
    }
  }
  return counts
}
