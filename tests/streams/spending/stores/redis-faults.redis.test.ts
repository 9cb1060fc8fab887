import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Logger } from '../../../../streams/log.ts'
import { Random } from '../../../../streams/models/stand-in/random.ts'
import type { Rate } from '../../../../streams/spending/store.ts'
import { MemorySpendingStore } from '../../../../streams/spending/stores/memory.ts'
import { type RedisSpendingOptions, RedisSpendingStore } from '../../../../streams/spending/stores/redis.ts'
import { keyOf, paidReply } from '../../../contracts/spending-store.ts'
import { expectError } from '../../../contracts/transport/fixture.ts'
import { RedisServer } from '../../../services/redis.ts'

const password = 'never-to-be-seen'

describe('redis spending store, faults', () => {
  let server: RedisServer | null = null
  const opened: RedisSpendingStore[] = []
  let logged: string[] = []
  const keep = (_facts: unknown, message: string) => logged.push(message)
  const log = { warn: keep, info: keep } as unknown as Logger
  beforeEach(() => {
    logged = []
  })
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
    await server?.stop()
    server = null
  })

  async function start(...words: string[]): Promise<RedisServer> {
    server = await RedisServer.start(...words)
    return server
  }

  async function open(options: Partial<RedisSpendingOptions> = {}): Promise<RedisSpendingStore> {
    const store = await RedisSpendingStore.open({ url: server?.url ?? '', prefix: 'test', log, ...options })
    opened.push(store)
    return store
  }

  it('says at once that nothing answers at the address', async () => {
    const { url } = await start()
    await server?.stop()
    await expectError(() => open({ url }), 'SPENDING_UNREACHABLE', url)
  })

  it.each(['localhost', 'http://localhost', 'redis://localhost/first', 'redis://'])('refuses the address %s', url =>
    expectError(() => open({ url }), 'CONFIGURATION_INVALID', '--spending'),
  )

  it('tells that password or user are wrong or missing, and never names them', async () => {
    const { url } = await start('--requirepass', password)
    const wrong = url.replace('redis://', 'redis://:wrong-password@')
    for (const given of [{ url }, { url: wrong }, { url, password: 'wrong-password' }]) {
      const error: unknown = await open(given).catch(thrown => thrown)
      expect(error).toMatchObject({ code: 'SPENDING_REFUSED', message: expect.stringContaining(url) })
      expect(String(error)).not.toContain('wrong-password')
    }
    const right = [{ url, password }, { url: url.replace('redis://', `redis://default:${password}@`) }]
    for (const given of right) await (await open(given)).putReply(keyOf(1), paidReply('text'))
  })

  it('tells of a Redis that takes no more', async () => {
    await start('--maxmemory', '1mb', '--maxmemory-policy', 'noeviction')
    const store = await open()
    await store.putReply(keyOf(99), paidReply('small'))
    const large = paidReply(randomBytes(300_000).toString('latin1'))
    const fill = async () => {
      for (let index = 0; index < 20; index++) await store.putReply(keyOf(index), large)
    }
    await expectError(fill, 'SPENDING_REFUSED', 'maxmemory')
    expect(await store.getReply(keyOf(99))).toEqual(paidReply('small'))
  })

  it('lets callers wait while Redis is away, says so once, and adds nothing twice', async () => {
    await start('--appendfsync', 'always')
    const store = await open()
    const run = await store.joinRun('a')
    await store.putReply(keyOf(1), paidReply('kept'))
    const one = { calls: 1, tokens: 10, usd: 0.5 }
    // Some of them are on their way when it goes.
    const before = Array.from({ length: 50 }, () => store.spend('a', run, one))
    await server?.kill('SIGKILL')
    const during = [store.putReply(keyOf(2), paidReply('late')), ...before, store.getReply(keyOf(1))]
    await server?.restart()
    await Promise.all(during)
    expect((await store.spend('a', run, { calls: 0, tokens: 0, usd: 0 })).run).toEqual({
      calls: 50,
      tokens: 500,
      usd: 25,
    })
    expect((await store.getReply(keyOf(1)))?.reply.text).toBe('kept')
    expect((await store.getReply(keyOf(2)))?.reply.text).toBe('late')
    expect(logged).toEqual(['Redis is away: calls wait for it', 'Redis is back'])
  })

  it('lets callers wait no longer than it should, for a Redis that is gone and for one that hangs', async () => {
    await start()
    const store = await open({ waitMs: 100 })
    await server?.kill('SIGSTOP')
    await expectError(() => store.getReply(keyOf(1)), 'SPENDING_UNREACHABLE', 'for 100 ms')
    await server?.kill('SIGCONT')
    expect(await store.getReply(keyOf(1))).toBeNull()
    await server?.kill('SIGKILL')
    await expectError(() => store.putReply(keyOf(1), paidReply('text')), 'SPENDING_UNREACHABLE', 'for 100 ms')
  })

  it('keeps those apart who have another prefix', async () => {
    await start()
    const [one, two] = [await open({ prefix: 'one' }), await open({ prefix: 'two' })]
    await one.putReply(keyOf(1), paidReply('text'))
    expect(await two.getReply(keyOf(1))).toBeNull()
    expect(await one.joinRun('a')).not.toBe(await two.joinRun('a'))
  })

  it('goes by the clock of the server', async () => {
    await start()
    const store = await open()
    const run = await store.joinRun('a')
    const amounts = [{ rate: { name: 'requests', perMinute: 1 } as const, amount: 1 }]
    expect(await store.bookTurn('main', amounts)).toBe(0)
    const wait = await store.bookTurn('main', amounts)
    expect(wait).toBeLessThanOrEqual(61_500)
    expect(wait).toBeGreaterThan(50_000)
    expect((await store.spend('a', run, { calls: 1, tokens: 1, usd: 1 })).day.calls).toBe(1)
  })

  it('books the same turns as the arithmetic of the other stores', async () => {
    await start()
    let time = 1_700_000_000_000
    const now = () => time
    const [store, other] = [await open({ now }), new MemorySpendingStore({ now })]
    const random = new Random(7)
    const requests: Rate = { name: 'requests', perMinute: 90 }
    const tokens: Rate = { name: 'tokens', perMinute: 40_000 }
    for (let count = 0; count < 500; count++) {
      const amounts = [
        { rate: requests, amount: 1 },
        { rate: tokens, amount: Math.round(50 * 1.2 ** (random.next() * 36)) },
      ]
      const waits = [await store.bookTurn('main', amounts), await other.bookTurn('main', amounts)]
      expect(waits[0]).toBeCloseTo(waits[1] ?? Number.NaN, 3)
      const difference = [{ rate: tokens, amount: Math.round((random.next() - 0.5) * 1000) }]
      await Promise.all([store.settleTurn('main', difference), other.settleTurn('main', difference)])
      time += Math.round(random.next() * 5000) - (count % 50 === 0 ? 20_000 : 0)
    }
  })
})
