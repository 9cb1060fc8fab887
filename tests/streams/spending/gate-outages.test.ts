import { describe, expect, it } from 'vitest'
import { SituError } from '../../../schemas/errors.ts'
import { failing, ok, Scene } from './scripted-endpoint.ts'

const minute = 60_000
const limited = (details = {}) => new SituError('MODEL_RATE_LIMITED', 'model test: status 429', details)

describe('an outage', () => {
  it('holds calls back: few fail, one probe in an interval, and all goes on after it', async () => {
    const scene = new Scene()
    const start = scene.clock.now()
    const isDown = (time: number) => time - start >= minute && time - start < 2 * minute
    scene.model.answer = ({ time }) =>
      isDown(time) ? failing('MODEL_UNAVAILABLE')({ number: 0, request: {} as never, time }) : { latencyMs: 100 }
    await scene.load(20, 4 * minute, 50)
    const { times } = scene.model
    const failed = times.filter(isDown)
    const opened = failed.filter(time => time < start + minute + 900)
    // Twenty were in flight or about to begin when the fifth failed.
    expect(opened.length).toBeLessThanOrEqual(20)
    const probes = failed.slice(opened.length).map(time => time - start - minute)
    expect(probes.length).toBeLessThanOrEqual(7)
    const perSecond = (from: number) =>
      times.filter(time => time >= start + from && time < start + from + minute / 2).length / 30
    expect(perSecond(2.5 * minute)).toBeGreaterThan(0.9 * perSecond(minute / 2))
    expect(scene.log.map(line => line.replace(/\d+ s/, 'N s'))).toEqual([
      'model first (small) is down, calls wait: model test: MODEL_UNAVAILABLE',
      'model first (small) answers again after N s',
    ])
    expect(new Set(scene.codes)).toEqual(new Set(['MODEL_UNAVAILABLE']))
  })

  it('shows that the endpoint is down, and each failure tells when any call was answered last', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    const answered = scene.clock.now() - 900
    scene.model.answer = failing('MODEL_UNREACHABLE')
    await scene.load(8, 20_000, 100)
    expect(scene.gate.waiting).toMatchObject({ cause: 'endpoint is down', calls: 8 })
    expect(scene.errors.length).toBeGreaterThan(0)
    for (const error of scene.errors) expect(error).toMatchObject({ endpointAnsweredAt: answered })
  })

  it('asks for one token to learn whether the endpoint is up again, and no call waits in vain for that', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    scene.model.answer = failing('MODEL_UNAVAILABLE')
    await scene.load(8, 20_000, 100)
    const asked = scene.model.requests.slice(-2)
    for (const { replyTokens, messages } of asked) {
      expect([replyTokens, messages.length, messages[0]?.content.length]).toEqual([1, 1, expect.closeTo(15, -1)])
    }
  })

  it('tells a request that the endpoint does not bear from an endpoint that is down, where nobody else calls', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    scene.model.answer = ({ request }) =>
      request.replyTokens === 1 ? { latencyMs: 10 } : { error: new SituError('MODEL_UNAVAILABLE', 'crashed') }
    for (const failures of [0, 1, 2]) {
      const begun = scene.clock.now()
      void scene.begin({ failures })
      await scene.clock.advance(5_000)
      const { endpointAnsweredAt } = scene.errors.at(-1) as SituError
      expect((endpointAnsweredAt ?? 0) > begun).toBe(failures > 0)
    }
    const probes = scene.model.requests.filter(({ replyTokens }) => replyTokens === 1)
    expect(probes).toHaveLength(2)
  })

  it('gives a probe up that hangs, and each later one after twice the time', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    scene.model.answer = failing('MODEL_UNAVAILABLE')
    scene.load(8, 10 * minute, 100)
    await scene.clock.advance(500)
    scene.model.answer = () => ({ latencyMs: 60 * minute })
    await scene.clock.advance(2 * minute)
    const probes = scene.model.requests.flatMap(({ replyTokens }, index) =>
      replyTokens === 1 ? [scene.model.times[index] ?? 0] : [],
    )
    // The first probe was refused at once; the next ones wait 4 and 8 seconds after 10 and 20.
    expect(probes.slice(2, 4).map((time, index) => time - (probes[index + 1] ?? 0))).toEqual([14_000, 28_000])
  })

  it('obeys the Retry-After of a 503', async () => {
    const scene = new Scene()
    await scene.answerOnce()
    scene.model.answer = ({ number }) =>
      number === 2
        ? failing('MODEL_UNAVAILABLE', { retryAfterMs: 7_000 })({ number, request: {} as never, time: 0 })
        : ok({ number, request: {} as never, time: 0 })
    await scene.load(1, 20_000)
    const [, second = 0, third = 0] = scene.model.times
    expect(third - second).toBe(7_010)
  })
})

describe('a second endpoint', () => {
  it('gets the calls while the first is down, and no longer when it is back', async () => {
    const scene = new Scene({ failover: true })
    await scene.load(5, minute, 50)
    expect(scene.second.times).toEqual([])
    scene.model.answer = failing('MODEL_UNAVAILABLE')
    const before = scene.model.times.length
    await scene.load(0, 1)
    void scene.load(5, 3 * minute, 50)
    await scene.clock.advance(minute)
    expect(scene.model.times.length - before).toBeLessThan(25)
    expect(scene.second.times.length).toBeGreaterThan(1_000)
    expect(scene.results.at(-1)?.endpoint).toBe('second')
    scene.model.answer = ok
    await scene.clock.advance(20_000)
    const moved = scene.second.times.length
    await scene.clock.advance(minute)
    expect(scene.second.times.length).toBe(moved)
    expect(scene.results.at(-1)?.endpoint).toBe('first')
  })

  it.each([
    [60_000, 'second'],
    [3_000, 'first'],
  ])('after a Retry-After of %i ms at the first one, calls go to the %s', async (retryAfterMs, wanted) => {
    const scene = new Scene({ failover: true })
    await scene.load(5, minute, 50)
    const refused = scene.clock.now()
    const until = refused + retryAfterMs
    scene.model.answer = ({ time }) => (time < until ? { latencyMs: 1, error: limited({ retryAfterMs }) } : {})
    await scene.load(5, 2 * minute, 50)
    expect(scene.model.times.filter(time => time > refused && time < until)).toEqual([])
    const others = scene.second.times.filter(time => time < until)
    expect(others.length > 1_000 ? 'second' : 'first').toBe(wanted)
    expect(scene.second.times.length).toBe(others.length)
    expect(scene.results.at(-1)?.endpoint).toBe('first')
  })

  it('waits for the one that asks for less where both ask for long', async () => {
    const scene = new Scene({ failover: true })
    await scene.answerOnce()
    const from = scene.clock.now()
    const busyFor = (retryAfterMs: number) => () => ({ latencyMs: 1, error: limited({ retryAfterMs }) })
    scene.model.answer = busyFor(60_000)
    scene.second.answer = busyFor(20_000)
    await scene.load(5, 19_000, 50)
    expect([scene.gate.waiting?.cause, scene.second.times.length]).toEqual(['retry-after', 1])
    scene.second.answer = ok
    await scene.clock.advance(2_000)
    expect(scene.results.at(-1)?.endpoint).toBe('second')
    expect(scene.model.times.filter(time => time > from)).toEqual([])
  })

  it('stands in for one that never answered', async () => {
    const scene = new Scene({ failover: true })
    scene.model.answer = failing('MODEL_UNREACHABLE')
    await scene.load(3, minute, 50)
    expect(scene.second.times.length).toBeGreaterThan(500)
    expect(scene.codes).not.toContain('MODEL_NEVER_ANSWERED')
  })

  it('that never answers either ends all calls', async () => {
    const scene = new Scene({ failover: true })
    scene.model.answer = failing('MODEL_UNREACHABLE')
    scene.second.answer = failing('MODEL_UNREACHABLE')
    for (let call = 0; call < 10; call++) scene.begin()
    await scene.clock.advance(minute)
    expect([scene.model.times.length, scene.second.times.length]).toEqual([3, 3])
    expect(scene.codes.at(-1)).toBe('MODEL_NEVER_ANSWERED')
  })
})
