import type { Clock } from '../clock.ts'
import type { Run } from '../run.ts'
import { finished } from '../task/task-record.ts'
import { duration, money } from './render.ts'

/** How often it is worked out anew. */
const everyMs = 1_000
/** Inputs that each stage with work left must have finished before it says something. */
const leastFinished = 10

/** What a stage of a run has done and what waits for it. */
export interface StageProgress {
  /** Records that wait or are under work. */
  left: number
  /** Number of the stage that reads its outputs; null where none of the run does. */
  next: number | null
  /** Since the beginning of the log. */
  finished: number
  out: number
  /** Inputs whose calls are counted, and what those took; unpriced: calls whose cost is not known. */
  spent: { inputs: number; usd: number; unpriced: number }
  /** Inputs finished by this process. */
  worked: number
}

/** @returns Null until there is something to go by, or where nothing is left. `usd` is null where it is not known. */
export function remainingOf(
  stages: readonly StageProgress[],
  seconds: number,
): { usd: number | null; seconds: number } | null {
  const left = stages.map(stage => stage.left)
  let [usd, longest]: [number | null, number] = [0, 0]
  for (const [number, stage] of stages.entries()) {
    const toDo = left[number] ?? 0
    if (toDo <= 0) continue
    if (stage.worked < leastFinished) return null
    const { next, out, spent } = stage
    if (next !== null) left[next] = (left[next] ?? 0) + (toDo * out) / stage.finished
    if (spent.unpriced > 0) usd = null
    else if (usd !== null && spent.inputs > 0) usd += (toDo * spent.usd) / spent.inputs
    longest = Math.max(longest, (toDo * seconds) / stage.worked)
  }
  return longest === 0 ? null : { usd, seconds: longest }
}

/** What is left of a run, for its progress line: from what waits, and what an input has taken so far. */
export class RemainingWork {
  readonly #run: Run
  readonly #clock: Clock
  readonly #began: number
  #askedAt = Number.NEGATIVE_INFINITY
  #text = ''

  constructor(run: Run, clock: Clock) {
    this.#run = run
    this.#clock = clock
    this.#began = clock.now()
  }

  /** Such as `≈ $1.20 and 14 min left`; empty until there is something to go by. Never older than two looks. */
  get text(): string {
    const now = this.#clock.now()
    if (now - this.#askedAt >= everyMs) {
      this.#askedAt = now
      // A log that can't be read ends the run by itself.
      this.#look().catch(() => {})
    }
    return this.#text
  }

  async #look(): Promise<void> {
    const { tasks, stages, counters, done } = this.#run
    const lags = await this.#run.lags()
    const progress = stages.map(({ name, output }): StageProgress => {
      const own = counters[name]
      const spent = own?.spent ?? []
      const lag = (tasks ?? [])
        .filter(({ stage }) => stage === name)
        .reduce((sum, { id }) => sum + (lags.get(id) ?? 0), 0)
      const next = stages.findIndex(({ input }) => input === output)
      const worked = done.find(({ stage }) => stage === name)?.worked
      return {
        left: lag + (own?.inFlight ?? 0),
        next: next < 0 ? null : next,
        finished: own ? finished(own) : 0,
        out: own?.out ?? 0,
        spent: {
          inputs: spent.reduce((sum, { inputs }) => sum + inputs, 0),
          usd: spent.reduce((sum, { costUsd }) => sum + costUsd, 0),
          unpriced: spent.reduce((sum, { unpriced }) => sum + unpriced, 0),
        },
        worked: worked ? finished(worked) : 0,
      }
    })
    const left = remainingOf(progress, (this.#clock.now() - this.#began) / 1000)
    const cost = left?.usd ? `${money(left.usd)} and ` : ''
    this.#text = left ? `≈ ${cost}${duration(left.seconds)} left` : ''
  }
}
