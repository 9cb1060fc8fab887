import { describe, expect, it } from 'vitest'
import { Pace, recordsPerSecond } from '../../../streams/task/pace.ts'
import { emptyCounters } from '../../../streams/task/task-record.ts'

const second = 1000

/** A task record as a pace would have it written at this time. */
function taskAt(pace: Pace, time: number, done: number) {
  const work = { commits: 1, taken: 1, ...pace.at(time), waiting: null, openings: null }
  const counters = { ...emptyCounters(), in: done, done }
  const place = { id: 'main-toy-0', stage: 'toy', variant: 'main', partition: 0, epoch: 1, configuration: null }
  return { ...place, positions: [], counters, time, work }
}

describe('the pace of a task', () => {
  it('is that of the last minute, while it works', () => {
    const pace = new Pace(0, 0)
    // Ten a second for 100 s, then twenty.
    let done = 0
    for (let time = 100; time <= 300 * second; time += 100) {
      done += time <= 100 * second ? 1 : 2
      pace.note(time, done)
    }
    const task = taskAt(pace, 300 * second, done)
    expect(recordsPerSecond(task, 300 * second)).toBeCloseTo(20, -1)
    expect(Math.abs(recordsPerSecond(task, 300 * second) - 20)).toBeLessThan(2)
  })

  it('counts nothing from before a pause', () => {
    const pace = new Pace(0, 0)
    for (let done = 1; done <= 3000; done++) pace.note(done, done)
    const later = 600 * second
    expect(pace.at(later)).toEqual({ since: later - 60 * second, finished: 3000 })
    expect(recordsPerSecond(taskAt(pace, later, 3006), later)).toBeCloseTo(0.1)
  })

  it('begins where the task was taken, with what it had then', () => {
    const pace = new Pace(1000 * second, 500)
    pace.note(1001 * second, 520)
    expect(pace.at(1002 * second)).toEqual({ since: 1000 * second, finished: 500 })
    expect(recordsPerSecond(taskAt(pace, 1002 * second, 540), 1002 * second)).toBe(20)
  })

  it('falls while nothing is committed, to nothing after a minute', () => {
    const pace = new Pace(0, 0)
    const task = taskAt(pace, 10 * second, 100)
    expect(recordsPerSecond(task, 10 * second)).toBe(10)
    expect(recordsPerSecond(task, 50 * second)).toBe(2)
    expect(recordsPerSecond(task, 70 * second)).toBe(0)
  })

  it('is unknown, so 0, for a record of an earlier version', () => {
    expect(recordsPerSecond({ ...taskAt(new Pace(0, 0), 10, 100), work: null }, 10)).toBe(0)
  })

  it('remembers little, however many commits there are', () => {
    const pace = new Pace(0, 0)
    for (let time = 0; time < 1000 * second; time += 10) pace.note(time, time)
    const { since, finished } = pace.at(1000 * second)
    expect(since).toBe(940 * second)
    expect(finished).toBeGreaterThan(934 * second)
    expect(finished).toBeLessThanOrEqual(940 * second)
  })
})
