import { describe, expect, it } from 'vitest'
import { RecordLimit } from '../../../streams/task/record-limit.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const never = new AbortController().signal

describe('RecordLimit', () => {
  it('aborts the work when its time is over', async () => {
    const clock = new VirtualClock()
    const limit = new RecordLimit(1_000, clock, never)
    await clock.advance(999)
    expect(limit.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(limit.signal.aborted).toBe(true)
    expect(limit.asFailure(limit.signal.reason, 'toy').code).toBe('OPERATOR_TIMEOUT')
  })

  it('lets the time stand still while the record waits for an endpoint', async () => {
    const clock = new VirtualClock()
    const limit = new RecordLimit(1_000, clock, never)
    await clock.advance(400)
    limit.hold(true)
    limit.hold(true)
    await clock.advance(1_000_000)
    limit.hold(false)
    await clock.advance(1_000_000)
    limit.hold(false)
    await clock.advance(599)
    expect(limit.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(limit.signal.aborted).toBe(true)
  })

  it('aborts nothing once the record has ended', async () => {
    const clock = new VirtualClock()
    const limit = new RecordLimit(1_000, clock, never)
    limit.hold(true)
    limit.end()
    limit.hold(false)
    await clock.advance(10_000)
    expect(limit.signal.aborted).toBe(false)
  })

  it('passes on the reason of the outer signal', () => {
    const outer = new AbortController()
    const limit = new RecordLimit(1_000, new VirtualClock(), outer.signal)
    outer.abort('lost')
    expect(limit.signal.reason).toBe('lost')
  })
})
