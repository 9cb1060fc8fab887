import { describe, expect, it, vi } from 'vitest'
import { ChangeSignal } from '../../../streams/transports/change-signal.ts'

describe('ChangeSignal', () => {
  it('does not lose a change between the look and the wait', async () => {
    const signal = new ChangeSignal()
    const seen = signal.count
    signal.raise()
    await signal.wait(seen)
    expect(signal.count).toBe(1)
  })

  it('wakes all that wait', async () => {
    const signal = new ChangeSignal()
    const waiting = [signal.wait(0), signal.wait(0)]
    signal.raise()
    await Promise.all(waiting)
  })

  it('ends a wait that is aborted', async () => {
    const signal = new ChangeSignal()
    const abort = new AbortController()
    const waiting = signal.wait(0, abort.signal)
    abort.abort()
    await waiting
    await signal.wait(0, abort.signal)
    expect(signal.count).toBe(0)
  })

  it('asks for changes of others only while somebody waits', async () => {
    vi.useFakeTimers()
    try {
      let asked = 0
      const signal = new ChangeSignal({ everyMs: 50, changed: () => ++asked === 3 })
      await vi.advanceTimersByTimeAsync(500)
      expect(asked).toBe(0)
      const waiting = signal.wait(0)
      await vi.advanceTimersByTimeAsync(500)
      await waiting
      expect(asked).toBe(3)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})
