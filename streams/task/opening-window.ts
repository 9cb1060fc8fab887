import type { Openings } from '../../schemas/records.ts'

const windowOutputs = 1_000
/** So many are told of each task: what is common in several of them is then seen in the sum. */
const toldOpenings = 5

/** How the last 1,000 outputs of a task begin. */
export class OpeningWindow {
  readonly #window: string[] = []
  readonly #counts = new Map<string, number>()
  #oldest = 0
  #told: Openings | null = null

  add(openings: readonly string[]): void {
    for (const opening of openings) {
      this.#count(opening, 1)
      if (this.#window.length < windowOutputs) this.#window.push(opening)
      else {
        this.#count(this.#window[this.#oldest] ?? '', -1)
        this.#window[this.#oldest] = opening
        this.#oldest = (this.#oldest + 1) % windowOutputs
      }
    }
    if (openings.length > 0) this.#told = { outputs: this.#window.length, commonest: this.#commonest() }
  }

  /** The commonest ones; null while there is no output. */
  get told(): Openings | null {
    return this.#told
  }

  #count(opening: string, number: 1 | -1): void {
    const count = (this.#counts.get(opening) ?? 0) + number
    if (count === 0) this.#counts.delete(opening)
    else this.#counts.set(opening, count)
  }

  #commonest(): Openings['commonest'] {
    const all = [...this.#counts].map(([text, count]) => ({ text, count }))
    return all.sort((left, right) => right.count - left.count).slice(0, toldOpenings)
  }
}

/** How many outputs begin alike. */
export interface OpeningShare {
  /** The commonest opening. */
  text: string
  /** Share of the outputs that begin so, 0 to 1. */
  share: number
  /** How many outputs that is of: the last ones of each task, 1,000 at most. */
  outputs: number
}

/** The commonest opening of all tasks of a stage; null where none has told any. */
export function commonestOpening(tasks: readonly (Openings | null | undefined)[]): OpeningShare | null {
  const counts = new Map<string, number>()
  let outputs = 0
  for (const told of tasks) {
    outputs += told?.outputs ?? 0
    for (const { text, count } of told?.commonest ?? []) counts.set(text, (counts.get(text) ?? 0) + count)
  }
  const [first] = [...counts].sort(([, left], [, right]) => right - left)
  return first ? { text: first[0], share: first[1] / outputs, outputs } : null
}
