import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { readReply } from '../../../operators/reply.ts'
import { checkScript } from '../../../streams/fake-model/script.ts'
import { until } from '../../support/until.ts'
import {
  call,
  clock,
  complete,
  document,
  entries,
  instruction,
  model,
  serve,
  statuses,
  textOf,
} from './served-model.ts'

describe('limits', () => {
  it('of requests a second leave 429 with the time to wait', async () => {
    await serve({ phases: [{ requestsPerSecond: 2, retryAfter: 'exact' }] })
    expect(await statuses(3)).toEqual([200, 200, 429])
    expect((await call()).headers.get('retry-after')).toBe('1')
    clock.move(500)
    expect(await statuses(2)).toEqual([200, 429])
  })

  it('of a minute slide, and tell in headers what is left', async () => {
    await serve({ phases: [{ requestsPerMinute: 2, tokensPerMinute: 100_000, rateLimitHeaders: true, retryAfter: 3 }] })
    const first = await call()
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1')
    expect(first.headers.get('x-ratelimit-reset-requests')).toBe('1m0s')
    expect(Number(first.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(100_000)
    clock.move(45_000)
    expect(await statuses(2)).toEqual([200, 429])
    const refused = await call()
    expect(refused.headers.get('retry-after')).toBe('3')
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    clock.move(15_000)
    expect(await statuses(2)).toEqual([200, 429])
  })

  it('of tokens book what the call uses', async () => {
    await serve({})
    const { usage } = await complete()
    const each = usage.prompt_tokens + usage.completion_tokens
    model.replace(checkScript({ phases: [{ tokensPerMinute: each * 2 }] }, 'test'))
    expect(await statuses(3)).toEqual([200, 200, 429])
    expect((await call({ text: 'Short.', response_format: { type: 'text' } })).status).toBe(429)
    clock.move(60_000)
    expect(await statuses(3)).toEqual([200, 200, 429])
  })

  it('of open calls hold while those are open', async () => {
    await serve({ phases: [{ maxConcurrent: 2, latencyMs: 100 }] })
    const open = [call(), call({ text: 'Another.' })]
    await until(() => clock.sleeping === 2)
    expect((await call({ text: 'One too many.' })).status).toBe(429)
    clock.move(100)
    expect((await Promise.all(open)).map(({ status }) => status)).toEqual([200, 200])
    await until(() => model.counts.open === 0)
    expect(model.counts).toMatchObject({ calls: 3, maxOpen: 3, byStatus: { 200: 2, 429: 1 } })
  })

  it('change with the phases', async () => {
    await serve({ phases: [{ forSeconds: 10, requestsPerSecond: 1 }, {}] })
    expect(await statuses(2)).toEqual([200, 429])
    clock.move(10_000)
    expect(await statuses(3)).toEqual([200, 200, 200])
  })
})

describe('an outage', () => {
  it('by 503 ends with its phase', async () => {
    await serve({ phases: [{ forSeconds: 1 }, { forSeconds: 60, down: '503', retryAfter: { date: 5 } }, {}] })
    expect((await call()).status).toBe(200)
    clock.move(1_000)
    const down = await call()
    expect(down.status).toBe(503)
    const waitMs = Date.parse(down.headers.get('retry-after') ?? '') - clock.now()
    expect(waitMs).toBeGreaterThanOrEqual(5_000)
    expect(waitMs).toBeLessThan(6_000)
    clock.move(60_000)
    expect((await call()).status).toBe(200)
  })

  it('by refused connections cuts open calls, then the port is there again', async () => {
    await serve({ phases: [{ forSeconds: 1, latencyMs: 30_000 }, { forSeconds: 60, down: 'refuse' }, {}] })
    const cut = call()
    await until(() => entries().length === 1)
    await until(() => clock.sleeping === 2)
    clock.move(1_000)
    await expect(cut).rejects.toThrow('fetch failed')
    await until(() => entries().length === 2)
    expect(entries()[1]).toMatchObject({ event: 'ended', outcome: 'down', status: null })
    await expect(call()).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await until(() => clock.sleeping === 2)
    clock.move(60_000)
    let answered: Response | null = null
    while (!answered) answered = await call().catch(() => null)
    expect(answered.status).toBe(200)
  })

  it('by refused connections outlasts another program on its port', async () => {
    await serve({ from: 'start', phases: [{ forSeconds: 5, down: 'refuse' }, {}] })
    const port = Number(new URL(model.url).port)
    const other = createServer()
    const listening = once(other, 'listening')
    other.listen(port, '127.0.0.1')
    await listening
    await until(() => clock.sleeping === 1)
    clock.move(5_000)
    await until(() => clock.sleeping === 1)
    await new Promise(resolve => other.close(resolve))
    clock.move(1_000)
    let answered: Response | null = null
    while (!answered) answered = await call().catch(() => null)
    expect(answered.status).toBe(200)
  })
})

describe('faults', () => {
  const always = (fault: Record<string, unknown>) => serve({ phases: [{ faults: [{ share: 1, ...fault }] }] })

  it('of status have their body and when to come back', async () => {
    await always({ kind: 'status', status: 429, retryAfter: 7 })
    const response = await call()
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
  })

  it.each(['reset', 'cut'])('%s ends the connection', async kind => {
    await always({ kind })
    await expect(call().then(response => response.text())).rejects.toThrow()
    await until(() => model.counts.open === 0)
    expect(entries()[1]).toMatchObject({ outcome: kind, status: kind === 'cut' ? 200 : null })
  })

  it.each(['hang', 'hang-in-body'])('%s until the client leaves', async kind => {
    await always({ kind })
    const leaving = new AbortController()
    const ended = call({}, leaving.signal).then(response => response.text())
    await until(() => model.counts.open === 1 && (kind === 'hang' || entries().length === 1))
    leaving.abort()
    await expect(ended).rejects.toThrow()
    await until(() => model.counts.open === 0)
    expect(entries().at(-1)).toMatchObject({ event: 'ended', outcome: kind })
  })

  it.each(['prose', 'cut', 'list', 'unquoted', 'torn'])('broken-json as %s can’t be read as a reply', async shape => {
    await always({ kind: 'broken-json', shape })
    const text = await textOf()
    expect(() => readReply(text, 'stop', instruction)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^MODEL_REPLY/) }),
    )
  })

  it('wrong-types, refusal, content-filter, length, empty and html-200 are what they are called', async () => {
    await always({ kind: 'wrong-types' })
    const wrong = await textOf()
    expect(() => readReply(wrong, 'stop', instruction)).toThrow(
      expect.objectContaining({ code: 'MODEL_REPLY_INVALID' }),
    )
    const change = (kind: string) => model.replace(checkScript({ phases: [{ faults: [{ kind, share: 1 }] }] }, 'test'))
    change('refusal')
    expect((await complete()).choices[0].message).toMatchObject({ content: null, refusal: expect.any(String) })
    change('content-filter')
    expect((await complete()).choices[0].finish_reason).toBe('content_filter')
    change('length')
    expect((await complete()).choices[0].finish_reason).toBe('length')
    change('empty')
    expect(await textOf()).toBe('')
    change('html-200')
    expect(await (await call()).text()).toContain('<html')
    await until(() => model.counts.open === 0)
    expect(Object.keys(model.counts.byOutcome)).toEqual([
      'wrong-types',
      'refusal',
      'content-filter',
      'length',
      'empty',
      'html-200',
    ])
  })

  it('come to the same calls each time, and by another seed to others', async () => {
    const script = { phases: [{ faults: [{ kind: 'status', status: 500, share: 0.3 }] }] }
    const texts = Array.from({ length: 60 }, (_, number) => `${number} ${document}`)
    const run = async (seed: number, order: string[]) => {
      await serve(script, seed)
      const failed: string[] = []
      for (const text of order) if ((await call({ text })).status === 500) failed.push(text)
      const again = await statuses(20, { text: `0 ${document}` })
      await model.close()
      return { failed: failed.sort(), again }
    }
    const first = await run(1, texts)
    expect(first.failed.length).toBeGreaterThan(8)
    expect(first.failed.length).toBeLessThan(30)
    expect(await run(1, texts.toReversed())).toEqual(first)
    expect((await run(2, texts)).failed).not.toEqual(first.failed)
    // A repeat has a new chance.
    expect(new Set(first.again).size).toBe(2)
  })
})
