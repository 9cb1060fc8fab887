import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SqliteSpendingStore } from '../../../streams/spending/stores/sqlite.ts'
import { parseDuration } from '../../../streams/terminal/duration.ts'
import { keyOf, paidReply } from '../../contracts/spending-store.ts'
import { removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

const day = 86_400_000

describe('situ cache', () => {
  let folder: string
  let data: string
  beforeEach(() => {
    folder = temporaryFolder()
    data = join(folder, 'data')
  })
  afterEach(() => removeFolder(folder))

  const cache = (...words: string[]) => situ(['cache', ...words, '--data', data], { input: '' })

  /** Three replies, of today and of 10 and 40 days ago, of which the oldest is rejected; two were served. */
  async function fill(): Promise<void> {
    const store = await SqliteSpendingStore.open(data, { create: true })
    const now = Date.now()
    await store.putReply(keyOf(1), paidReply('today', { time: now }))
    await store.putReply(keyOf(2), paidReply('lately', { time: now - 10 * day }))
    await store.putReply(keyOf(3), paidReply('long ago', { time: now - 40 * day }))
    await store.rejectReplies([keyOf(3)])
    store.countServed(paidReply('today'))
    store.countServed(paidReply('unknown price', { costUsd: null }))
    await store.close()
  }

  it('shows nothing, and makes nothing, where nothing was kept', async () => {
    const { code, stdout } = await cache('--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      replies: 0,
      bytes: 0,
      rejected: 0,
      oldest: null,
      served: { times: 0, tokens: 0, usd: 0 },
    })
    expect(JSON.parse((await cache('clear', '--yes', '--json')).stdout)).toEqual({ cleared: 0 })
    expect((await situ(['topics', '--data', data])).stderr).toContain('no data folder')
  })

  it('shows size, rejected replies, the oldest one and what was saved', async () => {
    await fill()
    const { stdout } = await cache('--json')
    const summary = JSON.parse(stdout)
    expect(summary).toMatchObject({ replies: 2, rejected: 1, served: { times: 2, tokens: 240, usd: 0.25 } })
    expect(summary.bytes).toBeGreaterThan(100)
    expect(Date.now() - Date.parse(summary.oldest)).toBeGreaterThan(40 * day - 1)
    const { stdout: lines } = await cache()
    expect(lines).toMatch(/replies +2 \(0\.00 MB\)\nrejected +1\noldest +20.*Z\nsaved +2 calls: 240 tokens, 0\.2500 US/)
  })

  it('clears what is older than a duration, or all', async () => {
    await fill()
    expect(JSON.parse((await cache('clear', '--older-than', '30d', '--yes', '--json')).stdout)).toEqual({ cleared: 1 })
    expect(JSON.parse((await cache('--json')).stdout)).toMatchObject({ replies: 2, rejected: 0 })
    expect((await cache('clear', '--older-than', '48h', '--yes')).stdout).toBe('1 reply cleared\n')
    expect((await cache('clear', '--yes')).stdout).toBe('1 reply cleared\n')
    expect(JSON.parse((await cache('--json')).stdout)).toMatchObject({ replies: 0, served: { times: 2 } })
  })

  it('clears nothing unasked', async () => {
    await fill()
    const { code, stderr } = await cache('clear')
    expect(code).toBe(2)
    expect(stderr).toContain('situ cache clear asks first: without a terminal it needs --yes')
    expect(JSON.parse((await cache('--json')).stdout)).toMatchObject({ replies: 2 })
  })

  it.each([
    [['clear', '--older-than', 'yesterday', '--yes'], '--older-than yesterday: expected a number and a unit'],
    [['--older-than', '3d'], '--older-than belongs to clear'],
    [['clean'], 'unknown word clean'],
  ])('refuses %j', async (words, problem) => {
    const { code, stderr } = await cache(...words)
    expect(code).toBe(2)
    expect(stderr).toContain(problem)
  })

  it('says in one line that Redis does not answer', async () => {
    const { code, stderr } = await cache('--spending', 'redis://user:secret@127.0.0.1:1/0')
    expect(code).toBe(1)
    expect(stderr).toContain('SPENDING_UNREACHABLE')
    expect(stderr).toContain('redis://127.0.0.1:1/0')
    expect(stderr).not.toContain('secret')
  })
})

describe('durations', () => {
  it.each([
    ['30d', 30 * day],
    ['12h', day / 2],
    ['1.5h', 5_400_000],
    ['45m', 2_700_000],
    ['10s', 10_000],
    ['2w', 14 * day],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration('--older-than', text)).toBe(ms)
  })

  it.each(['', '30', 'd', '30 d', '30y', '-1d', '1d12h'])('refuses "%s"', text => {
    expect(() => parseDuration('--older-than', text)).toThrow('--older-than')
  })
})
