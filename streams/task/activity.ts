import type { Counters, Openings } from '../../schemas/records.ts'
import { addSpent, addUp, emptyCounters } from './task-record.ts'

/** What a process has done of a task since it took it, and when it did something last; times in ms since 1970. */
export interface TaskActivity {
  readonly id: string
  readonly stage: string
  readonly variant: string
  /** Since the process took the task; `failed` are the dead letters that stand, whoever made them. */
  readonly worked: Counters
  /** Inputs that are being worked. */
  readonly open: number
  /** Age of the one that has been worked the longest. */
  readonly oldestMs: number
  readonly commits: number
  readonly isRestored: boolean
  /** Whether its inputs wait for other stages. */
  readonly isHeld: boolean
  readonly takenAt: number
  readonly lastFetch: number | null
  readonly lastCommit: number | null
  /** Since when an outcome waits for its commit; null where none does. */
  readonly uncommittedSince: number | null
  /** How its last outputs begin; null for a stage that makes no instructions, or none yet. */
  readonly openings: Openings | null
}

/** Counts of several tasks of one stage. */
export interface StageWork {
  readonly stage: string
  readonly variant: string
  readonly worked: Counters
  readonly commits: number
  readonly taken: number
  readonly lost: number
}

/** What came to `counters` since they were `before`. */
export function since(before: Counters, counters: Counters): Counters {
  const dropped = Object.fromEntries(
    Object.entries(counters.dropped).map(([reason, number]) => [reason, number - (before.dropped[reason] ?? 0)]),
  )
  const spent = structuredClone(counters.spent)
  for (const earlier of before.spent) addSpent(spent, earlier, -1)
  return {
    ...counters,
    spent,
    in: counters.in - before.in,
    done: counters.done - before.done,
    out: counters.out - before.out,
    retried: counters.retried - before.retried,
    dropped,
  }
}

/** Sums by stage; they only grow, since those of tasks that were lost stay in. */
export class WorkLedger {
  readonly #lost = new Map<string, StageWork>()

  /** Keeps what a task has done that is no longer ours; its dead letters are its next owner's. */
  keep(task: TaskActivity): void {
    const own = { ...task, worked: { ...task.worked, failed: {}, inFlight: 0 } }
    const sum = plus(this.#lost.get(keyOf(task)), own)
    this.#lost.set(keyOf(task), { ...sum, lost: sum.lost + 1 })
  }

  /** @param tasks - Those that are ours now. */
  sums(tasks: readonly TaskActivity[]): StageWork[] {
    const sums = new Map(this.#lost)
    for (const task of tasks) sums.set(keyOf(task), plus(sums.get(keyOf(task)), task))
    return [...sums.values()]
  }
}

function keyOf({ stage, variant }: { stage: string; variant: string }): string {
  return `${variant} ${stage}`
}

function plus(before: StageWork | undefined, { stage, variant, worked, commits }: TaskActivity): StageWork {
  return {
    stage,
    variant,
    worked: addUp([{ counters: before?.worked ?? emptyCounters() }, { counters: worked }]),
    commits: (before?.commits ?? 0) + commits,
    taken: (before?.taken ?? 0) + 1,
    lost: before?.lost ?? 0,
  }
}
