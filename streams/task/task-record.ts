import type { ErrorCode } from '../../schemas/errors.ts'
import type { Counters, Spent, Task } from '../../schemas/records.ts'

/** What became of one input. */
export type Result =
  | { kind: 'done'; out: number }
  | { kind: 'dropped'; reason: string }
  | { kind: 'failed'; code: ErrorCode; message: string }
  /** Sent on to the task that it belongs to, which counts it. */
  | { kind: 'forwarded' }

/** What is counted of one input. */
export interface Counted {
  result: Result
  /** What its model calls took; null where it made none. */
  spent: Spent | null
}

export function emptyCounters(): Counters {
  return { in: 0, done: 0, out: 0, dropped: {}, failed: {}, retried: 0, inFlight: 0, spent: [] }
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

/** Inputs that have an outcome: done, dropped or failed. */
export function finished(counters: Counters): number {
  return counters.done + sum(counters.dropped) + sum(counters.failed)
}

/** Counts an outcome. @param retried - Code of the dead letter that it takes the place of; null for a first outcome. */
export function count(counters: Counters, { result, spent }: Counted, retried: string | null): void {
  if (result.kind === 'forwarded') return
  if (spent) addSpent(counters.spent, spent)
  if (retried !== null) {
    add(counters.failed, retried, -1)
    counters.retried++
  }
  if (result.kind === 'done') {
    counters.done++
    counters.out += result.out
  } else if (result.kind === 'dropped') add(counters.dropped, result.reason, 1)
  else add(counters.failed, result.code, 1)
}

function add(counts: Record<string, number>, name: string, number: number): void {
  const total = (counts[name] ?? 0) + number
  if (total === 0) delete counts[name]
  else counts[name] = total
}

/** The counters of several tasks of a stage. */
export function addUp(tasks: readonly Pick<Task, 'counters'>[]): Counters {
  const total = emptyCounters()
  for (const { counters } of tasks) {
    total.in += counters.in
    total.done += counters.done
    total.out += counters.out
    total.retried += counters.retried
    total.inFlight += counters.inFlight
    for (const [reason, number] of Object.entries(counters.dropped)) add(total.dropped, reason, number)
    for (const [code, number] of Object.entries(counters.failed)) add(total.failed, code, number)
    for (const spent of counters.spent) addSpent(total.spent, spent)
  }
  return total
}

/** Adds to the sums of the same model and prompt. @param sign - -1 takes away instead. */
export function addSpent(sums: Spent[], spent: Spent, sign: 1 | -1 = 1): void {
  let sum = sums.find(({ model, prompt }) => model === spent.model && prompt === spent.prompt)
  if (!sum) {
    sum = { ...nothingSpent, model: spent.model, prompt: spent.prompt }
    sums.push(sum)
  }
  for (const name of spentFigures) sum[name] += sign * spent[name]
}

const nothingSpent = {
  inputs: 0,
  calls: 0,
  fromCache: 0,
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  costUsd: 0,
  unpriced: 0,
}
const spentFigures = Object.keys(nothingSpent) as (keyof typeof nothingSpent)[]
