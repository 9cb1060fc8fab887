import type { TaskActivity } from '../task/activity.ts'

/** How long a task may go without a sign of work while something waits for it. */
const readyMs = 60_000
const liveMs = 120_000
/** How long brokers may be away: beyond it a restart may help. More than the transport itself waits for them. */
const outageMs = 660_000

/** A moment of a worker. */
export interface Observation {
  /** Milliseconds since 1970. */
  now: number
  /** Null until the worker has joined the others. */
  tasks: readonly TaskActivity[] | null
  /** Messages that wait, by task; as last known where the transport does not answer. */
  lags: ReadonlyMap<string, number>
  /** Since when something waits, by task. */
  waitingSince: ReadonlyMap<string, number>
  /** When the transport last answered. */
  lastAnswer: number
  /** Whether it answers now. */
  isReachable: boolean
  /** Longest time that one record may take; beyond it the runtime itself ends it. */
  recordTimeoutMs: number
  isStopping: boolean
}

/** Reasons against; healthy where there are none. */
export interface Health {
  live: string[]
  ready: string[]
}

/**
 * Whether a worker does what it should: it fetches and commits while something waits, and the transport answers.
 *
 * Not live means that a restart may help; not ready, that it does not work now. Slow model calls are neither, as long
 * as no record outlives its time limit.
 */
export function judge(observation: Observation): Health {
  const { tasks, now, lastAnswer, isReachable, isStopping } = observation
  const live: string[] = []
  const ready: string[] = []
  const silence = now - lastAnswer
  if (!isReachable) ready.push(`the transport has not answered for ${seconds(silence)}`)
  if (silence > outageMs) live.push(`the transport has not answered for ${seconds(silence)}`)
  if (isStopping) ready.push('it is stopping')
  if (tasks === null) ready.push('it has not joined the other workers yet')
  for (const task of tasks ?? []) {
    ready.push(...stuck(task, observation, readyMs))
    live.push(...stuck(task, observation, isReachable ? liveMs : outageMs))
  }
  return { live, ready }
}

function stuck(task: TaskActivity, observation: Observation, boundMs: number): string[] {
  const { now, lags, waitingSince, recordTimeoutMs } = observation
  const { id, open, oldestMs, uncommittedSince, isRestored, isHeld, takenAt, lastFetch, lastCommit } = task
  // Reading back the state of a large index takes its time.
  if (!isRestored) return []
  const reasons: string[] = []
  if (oldestMs > recordTimeoutMs + boundMs) reasons.push(`${id}: a record is open for ${seconds(oldestMs)}`)
  const waits = now - (uncommittedSince ?? now)
  if (waits > boundMs) reasons.push(`${id}: an outcome waits for its commit for ${seconds(waits)}`)
  const lag = lags.get(id) ?? 0
  const quiet = now - Math.max(takenAt, lastFetch ?? 0, lastCommit ?? 0, waitingSince.get(id) ?? now)
  // Where inputs wait for other stages, those are judged.
  if (lag > 0 && open === 0 && !isHeld && quiet > boundMs) {
    reasons.push(`${id}: ${lag} messages wait, but nothing was fetched or committed for ${seconds(quiet)}`)
  }
  return reasons
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
