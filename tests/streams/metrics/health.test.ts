import { describe, expect, it } from 'vitest'
import { judge, type Observation } from '../../../streams/metrics/health.ts'
import type { TaskActivity } from '../../../streams/task/activity.ts'
import { emptyCounters } from '../../../streams/task/task-record.ts'

const now = 10_000_000
const minute = 60_000

function task(more: Partial<TaskActivity> = {}): TaskActivity {
  return {
    id: 'main-situate-0',
    stage: 'situate',
    variant: 'main',
    worked: emptyCounters(),
    open: 0,
    oldestMs: 0,
    commits: 0,
    isRestored: true,
    isHeld: false,
    takenAt: now - 100 * minute,
    lastFetch: now - 100 * minute,
    lastCommit: now - 100 * minute,
    uncommittedSince: null,
    openings: null,
    ...more,
  }
}

function health(tasks: readonly TaskActivity[] | null, lag = 0, more: Partial<Observation> = {}) {
  const { live, ready } = judge({
    now,
    tasks,
    lags: new Map([['main-situate-0', lag]]),
    waitingSince: new Map([['main-situate-0', now - 10 * minute]]),
    lastAnswer: now,
    isReachable: true,
    recordTimeoutMs: 60 * minute,
    isStopping: false,
    ...more,
  })
  return { live: live.length === 0, ready: ready.length === 0 }
}

const both = { live: true, ready: true }
const neither = { live: false, ready: false }
const liveOnly = { live: true, ready: false }

describe('health', () => {
  it('a worker with nothing to do is well, however long ago it did something', () => {
    expect(health([task()])).toEqual(both)
    expect(health([])).toEqual(both)
  })

  it('a worker is not ready before it has joined and once it is stopping', () => {
    expect(health(null)).toEqual(liveOnly)
    expect(health([task()], 0, { isStopping: true })).toEqual(liveOnly)
  })

  it('messages that wait and are not fetched make it first not ready, then not live', () => {
    expect(health([task({ lastFetch: now - 0.5 * minute })], 7)).toEqual(both)
    expect(health([task({ lastFetch: now - 1.5 * minute })], 7)).toEqual(liveOnly)
    expect(health([task({ lastFetch: now - 3 * minute })], 7)).toEqual(neither)
  })

  it('a message that has just come to a task that was idle for long is no fault', () => {
    expect(health([task()], 1, { waitingSince: new Map([['main-situate-0', now - 1000]]) })).toEqual(both)
  })

  it('calls that take hours are no fault while messages wait behind them', () => {
    expect(health([task({ open: 16, oldestMs: 59 * minute })], 900)).toEqual(both)
  })

  it('a record that outlives its time limit is a fault', () => {
    expect(health([task({ open: 1, oldestMs: 61.5 * minute })])).toEqual(liveOnly)
    expect(health([task({ open: 1, oldestMs: 63 * minute })])).toEqual(neither)
  })

  it('an outcome that is not committed is a fault, though others are worked', () => {
    expect(health([task({ open: 3, uncommittedSince: now - 0.5 * minute })], 5)).toEqual(both)
    expect(health([task({ open: 3, uncommittedSince: now - 3 * minute })], 5)).toEqual(neither)
  })

  it('brokers that are away make it not ready; a restart is asked for only after the transport has given up', () => {
    const stuck = [task({ uncommittedSince: now - 5 * minute })]
    expect(health(stuck, 5, { isReachable: false, lastAnswer: now - 5 * minute })).toEqual(liveOnly)
    expect(health([], 0, { isReachable: false, lastAnswer: now - 12 * minute })).toEqual(neither)
  })

  it('a task that reads its state back is no fault', () => {
    expect(health([task({ isRestored: false, takenAt: now - 10 * minute })], 1000)).toEqual(both)
  })
})
