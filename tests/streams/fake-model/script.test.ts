import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Call } from '../../../streams/fake-model/behaviour.ts'
import { breakJson, brokenShapes, wrongTypes } from '../../../streams/fake-model/broken-json.ts'
import { pickFault, retryAfterOf } from '../../../streams/fake-model/faults.ts'
import { SlidingWindow, TokenBucket } from '../../../streams/fake-model/rates.ts'
import { checkScript, parseScript, readScript } from '../../../streams/fake-model/script.ts'
import { draw } from '../../../streams/fake-model/spread.ts'
import { Timeline } from '../../../streams/fake-model/timeline.ts'
import { Random } from '../../../streams/models/stand-in/random.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

describe('a script', () => {
  it('may be empty, and then has one phase in which all is well', () => {
    const script = parseScript('', 'x.yaml')
    expect(script).toMatchObject({
      from: 'first-call',
      phases: [{ latencyMs: 0, faults: [], rateLimitHeaders: false }],
    })
  })

  it('is read from YAML and from JSON', () => {
    const folder = temporaryFolder()
    const path = join(folder, 'script')
    writeFileSync(path, 'phases: [{ latencyMs: 5 }]')
    expect(readScript(path)).toEqual(parseScript('{"phases": [{"latencyMs": 5}]}', 'json'))
    removeFolder(folder)
    expect(() => readScript(path)).toThrow(expect.objectContaining({ code: 'INPUT_UNREADABLE' }))
  })

  it.each([
    ['phases: []', 'phases:'],
    ['phase: []', 'Unrecognized key: "phase"'],
    ['phases: [{ latencyMs: fast }]', 'phases.0.latencyMs: expected a number, or { median, p99 }'],
    ['phases: [{ latencyMs: { median: 5, p99: 4 } }]', 'phases.0.latencyMs: p99 is below the median'],
    ['phases: [{ retryAfter: soon }]', 'phases.0.retryAfter: expected seconds'],
    ['phases: [{ latencyMs: 5 }, {}]', 'phases.0.forSeconds: only the last phase may be without'],
    ['phases: [{ faults: [{ kind: hang, share: 2 }] }]', 'phases.0.faults.0.share:'],
    ['phases: [{ faults: [{ kind: hang, share: 0.6 }, { kind: cut, share: 0.6 }] }]', 'add up to more than 1'],
    ['phases: [{ faults: [{ kind: hangs, share: 0.6 }] }]', 'phases.0.faults.0.kind:'],
    ['phases: [{ down: refuse }]', 'phases.0.down: no call can come'],
    ['- a list', 'expected object'],
    ['phases: [', 'x.yaml:'],
  ])('%s is refused with the place', (text, problem) => {
    expect(() => parseScript(text, 'x.yaml')).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringContaining(problem) }),
    )
    expect(() => parseScript(text, 'x.yaml')).toThrow(/^x\.yaml: /)
  })

  it('goes through its phases by time, and stays in the last one', () => {
    const script = checkScript(
      {
        phases: [
          { forSeconds: 2, latencyMs: 1 },
          { forSeconds: 3, latencyMs: 2 },
        ],
      },
      'x',
    )
    const timeline = new Timeline(script)
    expect(timeline.hasBegun).toBe(false)
    timeline.begin(10_000)
    timeline.begin(99_000)
    const latencies = [10_000, 11_999, 12_000, 14_999, 15_000, 99_999].map(now => timeline.at(now).latencyMs)
    expect(latencies).toEqual([1, 1, 2, 2, 2, 2])
    expect([10_000, 11_500, 12_000].map(now => timeline.msToNext(now))).toEqual([2_000, 500, null])
  })
})

describe('a rate', () => {
  it('gives its burst at once, then as many as the time gives', () => {
    const bucket = new TokenBucket()
    const taken = (now: number) => {
      for (let count = 0; ; count++) {
        if (bucket.waitMs(10, 5, now) > 0) return count
        bucket.take()
      }
    }
    expect([1_000, 1_000, 1_100, 1_250, 1_300, 9_000].map(taken)).toEqual([5, 0, 1, 1, 1, 5])
    expect(bucket.waitMs(10, 5, 9_040)).toBeCloseTo(60)
  })

  it('of a minute counts exactly the last 60 seconds', () => {
    const window = new SlidingWindow()
    window.add(30, 0)
    window.add(40, 20_000)
    expect([0, 59_999, 60_000, 79_999, 80_000].map(now => new Map([[now, window.sum(now)]]).get(now))).toEqual([
      70, 70, 40, 40, 0,
    ])
  })

  it('of a minute tells when an amount fits', () => {
    const window = new SlidingWindow()
    window.add(30, 0)
    window.add(40, 20_000)
    expect(window.waitMs(30, 100, 30_000)).toBe(0)
    expect(window.waitMs(31, 100, 30_000)).toBe(30_000)
    expect(window.waitMs(61, 100, 30_000)).toBe(50_000)
    expect(window.waitMs(101, 100, 30_000)).toBe(50_000)
    expect(window.resetMs(30_000)).toBe(50_000)
  })

  it('of a minute forgets what is old, however much comes', () => {
    const window = new SlidingWindow()
    for (let now = 0; now < 500_000; now += 20) window.add(1, now)
    expect(window.sum(500_000)).toBe(2_999)
  })
})

describe('a spread', () => {
  it('has its median and its 99th percentile', () => {
    const random = new Random(7)
    const drawn = Array.from({ length: 20_000 }, () => draw({ median: 200, p99: 1_000 }, random)).sort((a, b) => a - b)
    expect(Math.abs((drawn[10_000] ?? 0) - 200)).toBeLessThan(10)
    expect(Math.abs((drawn[19_800] ?? 0) - 1_000)).toBeLessThan(100)
    expect(draw(5, random)).toBe(5)
  })
})

function callOf(fingerprint: string, occurrence: number): Call {
  return { fingerprint, occurrence, number: 1, route: 'chat' } as Call
}

describe('faults', () => {
  const { phases } = checkScript(
    {
      phases: [
        {
          faults: [
            { kind: 'cut', share: 0.1 },
            { kind: 'hang', share: 0.2 },
          ],
        },
      ],
    },
    'x',
  )
  const faults = phases[0]?.faults ?? []
  const prints = Array.from({ length: 4_000 }, (_, index) =>
    (Math.imul(index, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0'),
  )
  const kinds = (occurrence: number, seed: number) =>
    prints.map(print => pickFault(faults, callOf(print, occurrence), seed)?.kind ?? 'none')

  it('have their shares, whatever the occurrence and the seed', () => {
    for (const found of [kinds(1, 0), kinds(2, 0), kinds(1, 9)]) {
      const share = (kind: string) => found.filter(one => one === kind).length / found.length
      expect(share('cut')).toBeGreaterThan(0.08)
      expect(share('cut')).toBeLessThan(0.12)
      expect(share('hang')).toBeGreaterThan(0.17)
      expect(share('hang')).toBeLessThan(0.23)
    }
  })

  it('depend on the call, its occurrence and the seed alone', () => {
    expect(kinds(1, 0)).toEqual(kinds(1, 0))
    const both = (left: string[], right: string[]) =>
      left.filter((kind, at) => kind === 'cut' && right[at] === 'cut').length
    // Independent: a hundredth of all, not a tenth.
    expect(both(kinds(1, 0), kinds(2, 0)) / prints.length).toBeLessThan(0.03)
    expect(both(kinds(1, 0), kinds(1, 1)) / prints.length).toBeLessThan(0.03)
  })

  it('tell when to come back in seconds, as a date, exactly or not at all', () => {
    const now = Date.UTC(2026, 0, 31, 12, 0, 0, 500)
    expect(retryAfterOf(1, 0, now)).toEqual({ retryAfter: '1' })
    expect(retryAfterOf({ date: 2 }, 0, now)).toEqual({ retryAfter: 'Sat, 31 Jan 2026 12:00:03 GMT' })
    expect(retryAfterOf('exact', 2_100, now)).toEqual({ retryAfter: '3' })
    expect(retryAfterOf(undefined, 2_100, now)).toEqual({})
  })

  it.each(brokenShapes)('break JSON as %s', shape => {
    const broken = breakJson('{"thought":"first, this","instruction":"Explain the tide tables, please."}', shape)
    const parsed = (() => {
      try {
        return JSON.parse(broken) as unknown
      } catch {
        return 'broken'
      }
    })()
    expect(shape === 'list' ? Array.isArray(parsed) : parsed).toBe(shape === 'list' ? true : 'broken')
  })

  it('give every text another type', () => {
    expect(Object.values(JSON.parse(wrongTypes('{"a":"x","b":"y","c":1}'))).map(value => typeof value)).not.toContain(
      'string',
    )
  })
})
