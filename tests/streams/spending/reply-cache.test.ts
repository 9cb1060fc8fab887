import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Model } from '../../../operators/model.ts'
import { SituError } from '../../../schemas/errors.ts'
import { type Call, type Caller, CallRefused, type CallResult } from '../../../streams/spending/caller.ts'
import { ReplyCache, requestKey } from '../../../streams/spending/reply-cache.ts'
import type { PaidReply } from '../../../streams/spending/store.ts'
import { MemorySpendingStore } from '../../../streams/spending/stores/memory.ts'
import { SqliteSpendingStore } from '../../../streams/spending/stores/sqlite.ts'

const model: Model = {
  endpoint: 'main',
  model: 'model-1',
  parameters: { temperature: 0.8, max_tokens: 100 },
  contextTokens: 4096,
  replyTokens: 100,
  complete: () => Promise.reject(new Error('the layers call it, not the cache')),
}

function callOf(changed: Partial<Call> = {}): Call {
  return {
    model,
    operator: 'situate',
    rank: 1,
    messages: [{ role: 'user', content: 'Who are you?' }],
    replySchema: { name: 'reply', schema: { type: 'object' } },
    sample: 0,
    signal: new AbortController().signal,
    draining: new AbortController().signal,
    ...changed,
  }
}

interface Open {
  call: Call
  /** Its turn has come: from now on a drain does not stop it. */
  begin: () => void
  answer: (text: string) => void
  fail: (error: unknown) => void
}

/** The layers behind the cache: each call stays open until the test answers it. */
class Provider implements Caller {
  readonly calls: Open[] = []
  readonly #waiting: (() => void)[] = []

  call(call: Call): Promise<CallResult> {
    return new Promise((resolve, reject) => {
      call.signal.addEventListener('abort', () => reject(call.signal.reason))
      const refuse = () => reject(call.draining.reason)
      call.draining.addEventListener('abort', refuse)
      const begin = () => call.draining.removeEventListener('abort', refuse)
      const answer = (text: string) =>
        resolve({
          reply: {
            text,
            finishReason: 'stop',
            usage: { promptTokens: 10, cachedTokens: 0, completionTokens: 5 },
            model: 'model-1-0613',
            rateLimits: [{ name: 'requests', limit: 5, remaining: 4, resetMs: 100 }],
          },
          isFromCache: false,
          costUsd: 0.5,
          latencyMs: 70,
          endpoint: 'second',
          key: null,
        })
      this.calls.push({ call, begin, answer, fail: reject })
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  /** The call of this number, as soon as it is made. */
  async made(number: number): Promise<Open> {
    for (;;) {
      const open = this.calls[number - 1]
      if (open) return open
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

describe('reply cache', () => {
  let provider: Provider
  let store: MemorySpendingStore
  let cache: ReplyCache
  beforeEach(() => {
    provider = new Provider()
    store = new MemorySpendingStore()
    cache = new ReplyCache({ next: provider, store, clock: { now: () => 5000 } })
  })

  async function pay(call: Call, text: string): Promise<CallResult> {
    const number = provider.calls.length + 1
    const result = cache.call(call)
    ;(await provider.made(number)).answer(text)
    return result
  }

  it('keeps a reply before it gives it away, and serves it from then on with what it cost', async () => {
    const first = await pay(callOf(), 'I am.')
    const kept = await store.getReply(first.key ?? '')
    expect(kept).toMatchObject({ reply: { text: 'I am.' }, operator: 'situate', time: 5000, endpoint: 'second' })
    expect(kept?.reply).not.toHaveProperty('rateLimits')
    const again = await cache.call(callOf())
    expect(again).toEqual({ ...first, isFromCache: true })
    expect(first).toMatchObject({ isFromCache: false, costUsd: 0.5, latencyMs: 70, endpoint: 'second' })
    expect(provider.calls).toHaveLength(1)
    expect((await store.cacheSummary()).served).toEqual({ times: 1, tokens: 15, usd: 0.5 })
  })

  it.each<[string, Partial<Call>]>([
    ['another message', { messages: [{ role: 'user', content: 'Who are you?!' }] }],
    ['another role', { messages: [{ role: 'system', content: 'Who are you?' }] }],
    ['one more message', { messages: [...callOf().messages, { role: 'assistant', content: '' }] }],
    ['another model', { model: { ...model, model: 'model-2' } }],
    ['another parameter', { model: { ...model, parameters: { temperature: 0.7, max_tokens: 100 } } }],
    ['a higher limit of the reply', { replyTokens: 200 }],
    ['another name of the schema', { replySchema: { name: 'other', schema: { type: 'object' } } }],
    ['another schema', { replySchema: { name: 'reply', schema: { type: 'array' } } }],
    ['another sample', { sample: 1 }],
  ])('takes a request with %s for another one', async (_what, changed) => {
    await pay(callOf(), 'one')
    expect((await pay(callOf(changed), 'two')).reply.text).toBe('two')
    expect((await cache.call(callOf(changed))).reply.text).toBe('two')
    expect((await cache.call(callOf())).reply.text).toBe('one')
  })

  it('takes a request for the same one whatever the order of its keys, its stage and its endpoint', () => {
    const parameters = { max_tokens: 100, temperature: 0.8 }
    const other = callOf({
      operator: 'other',
      rank: 5,
      replyTokens: 100,
      model: { ...model, endpoint: 'b', parameters },
    })
    expect(requestKey(other)).toBe(requestKey(callOf()))
    expect(requestKey(callOf())).toMatch(/^[0-9a-f]{32}$/)
  })

  it('makes one call of requests that are the same at the same time; one of them has paid it', async () => {
    const results = Promise.all([cache.call(callOf()), cache.call(callOf()), cache.call(callOf())])
    const { answer } = await provider.made(1)
    const late = cache.call(callOf())
    await turn()
    answer('once')
    const all = [...(await results), await late]
    expect(all.map(({ reply }) => reply.text)).toEqual(['once', 'once', 'once', 'once'])
    expect(all.filter(({ isFromCache }) => !isFromCache)).toHaveLength(1)
    expect(provider.calls).toHaveLength(1)
  })

  it('fails all of them where the call fails, keeps nothing, and calls anew when it is asked again', async () => {
    const error = new SituError('MODEL_UNAVAILABLE', 'main: 503')
    const results = Promise.allSettled([cache.call(callOf()), cache.call(callOf())])
    ;(await provider.made(1)).fail(error)
    expect(await results).toEqual([
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ])
    expect((await pay(callOf(), 'now')).isFromCache).toBe(false)
  })

  it('tells all of them when the call waits for its endpoint, and each one that it waits no longer', async () => {
    const told: string[] = []
    const asking = (name: string) => callOf({ onWait: isWaiting => told.push(`${name} ${isWaiting}`) })
    const first = cache.call(asking('first'))
    const { call, answer } = await provider.made(1)
    call.onWait?.(true)
    const leaving = new AbortController()
    const second = cache.call({ ...asking('second'), signal: leaving.signal })
    await turn()
    leaving.abort(new Error('gave up'))
    await expect(second).rejects.toThrow('gave up')
    call.onWait?.(false)
    answer('text')
    await first
    expect(told).toEqual(['first true', 'second true', 'second false', 'first false'])
  })

  it('runs a call to its end when all who asked have given up, and keeps its reply', async () => {
    const [one, two] = [new AbortController(), new AbortController()]
    const results = Promise.allSettled([
      cache.call(callOf({ signal: one.signal })),
      cache.call(callOf({ signal: two.signal })),
    ])
    const { call, begin, answer } = await provider.made(1)
    begin()
    one.abort(new Error('first'))
    two.abort(new Error('second'))
    const reasons = (await results).map(result => result.status === 'rejected' && String(result.reason))
    expect(reasons).toEqual(['Error: first', 'Error: second'])
    expect(call.signal.aborted).toBe(false)
    const settled = cache.settled()
    answer('paid')
    await settled
    expect((await cache.call(callOf())).reply.text).toBe('paid')
    expect(provider.calls).toHaveLength(1)
  })

  it('lets a call that still waits for its turn begin as long as one who asked wants it', async () => {
    const [one, two] = [new AbortController(), new AbortController()]
    const first = cache.call(callOf({ draining: one.signal }))
    const { call, answer } = await provider.made(1)
    const second = cache.call(callOf({ signal: two.signal }))
    await turn()
    one.abort()
    expect(call.draining.aborted).toBe(false)
    answer('text')
    expect((await first).reply.text).toBe('text')
    expect((await second).reply.text).toBe('text')
  })

  it('refuses a call that has not begun when all who asked drain, and makes it for the next who does not', async () => {
    const draining = new AbortController()
    const first = cache.call(callOf({ draining: draining.signal }))
    await provider.made(1)
    draining.abort()
    const second = cache.call(callOf())
    await expect(first).rejects.toBeInstanceOf(CallRefused)
    ;(await provider.made(2)).answer('text')
    expect((await second).reply.text).toBe('text')
  })

  it('serves what is kept during a drain, and begins nothing', async () => {
    const draining = AbortSignal.abort()
    await pay(callOf(), 'kept')
    expect((await cache.call(callOf({ draining }))).reply.text).toBe('kept')
    await expect(cache.call(callOf({ sample: 1, draining }))).rejects.toBeInstanceOf(CallRefused)
    expect(provider.calls).toHaveLength(1)
  })

  it('passes a refusal on that is not for want of callers', async () => {
    const result = cache.call(callOf())
    ;(await provider.made(1)).fail(new CallRefused())
    await expect(result).rejects.toBeInstanceOf(CallRefused)
    expect(provider.calls).toHaveLength(1)
  })

  it('never serves a rejected reply again', async () => {
    const { key } = await pay(callOf(), 'wrong')
    await cache.reject([key ?? ''])
    expect((await pay(callOf(), 'right')).isFromCache).toBe(false)
    expect((await cache.call(callOf())).reply.text).toBe('right')
    expect(await store.cacheSummary()).toMatchObject({ replies: 1, rejected: 1 })
  })

  it('finds its way over a reply that failed its check to the corrected one without a call', async () => {
    const corrective = callOf({
      messages: [...callOf().messages, { role: 'assistant', content: 'broken' }, { role: 'user', content: 'Mend it.' }],
    })
    await pay(callOf(), 'broken')
    await pay(corrective, 'mended')
    const texts = [(await cache.call(callOf())).reply.text, (await cache.call(corrective)).reply.text]
    expect(texts).toEqual(['broken', 'mended'])
    expect(provider.calls).toHaveLength(2)
  })

  it('lets the calls of an operator pass that is switched off', async () => {
    const open = new ReplyCache({ next: provider, store, clock: { now: () => 0 }, off: new Set(['situate']) })
    for (const number of [1, 2]) {
      const result = open.call(callOf())
      ;(await provider.made(number)).answer(`text ${number}`)
      expect(await result).toMatchObject({ reply: { text: `text ${number}` }, key: null, isFromCache: false })
    }
    expect((await store.cacheSummary()).replies).toBe(0)
  })

  it('ends what is open when it is closed, and takes nothing more', async () => {
    const result = cache.call(callOf())
    await provider.made(1)
    const closed = cache.close()
    await expect(result).rejects.toMatchObject({ code: 'TRANSPORT_CLOSED' })
    await closed
    await expect(cache.call(callOf())).rejects.toMatchObject({ code: 'TRANSPORT_CLOSED' })
  })

  describe('with a store that fails', () => {
    class Failing extends MemorySpendingStore {
      error: SituError | null = new SituError('DISK_FULL', 'spending.db: the disk is full')
      readonly written: string[] = []

      override async getReply(key: string): Promise<PaidReply | null> {
        if (this.error?.code === 'DATA_CORRUPT') throw this.error
        return super.getReply(key)
      }

      override async putReply(key: string, reply: PaidReply): Promise<void> {
        if (this.error) throw this.error
        this.written.push(reply.reply.text)
        return super.putReply(key, reply)
      }
    }

    let failing: Failing
    beforeEach(() => {
      failing = new Failing()
      cache = new ReplyCache({ next: provider, store: failing, clock: { now: () => 0 } })
    })

    it('makes no call where it can not be read', async () => {
      failing.error = new SituError('DATA_CORRUPT', 'spending.db: the file is damaged')
      await expect(cache.call(callOf())).rejects.toMatchObject({ code: 'DATA_CORRUPT' })
      expect(provider.calls).toHaveLength(0)
    })

    it('fails with its error where a reply can not be written, and does not pay it again', async () => {
      await expect(pay(callOf(), 'paid')).rejects.toMatchObject({ code: 'DISK_FULL' })
      await expect(cache.call(callOf())).rejects.toMatchObject({ code: 'DISK_FULL' })
      expect(provider.calls).toHaveLength(1)
      failing.error = null
      expect(await cache.call(callOf())).toMatchObject({ reply: { text: 'paid' }, isFromCache: true })
      expect(failing.written).toEqual(['paid'])
      expect(provider.calls).toHaveLength(1)
    })

    it('writes what it still holds at the end, or says that it can not', async () => {
      await expect(pay(callOf(), 'paid')).rejects.toMatchObject({ code: 'DISK_FULL' })
      await expect(cache.settled()).rejects.toMatchObject({ code: 'DISK_FULL' })
      failing.error = null
      await cache.close()
      expect(failing.written).toEqual(['paid'])
    })
  })
})

describe('reply cache on sqlite', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'situ-cache-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  async function fiveSamples(): Promise<{ texts: string[]; keys: (string | null)[]; calls: number }> {
    const store = await SqliteSpendingStore.open(folder, { create: true })
    let calls = 0
    const next: Caller = {
      call: async ({ model, messages, replySchema, sample, signal }) => {
        calls++
        const reply = await model.complete({ messages, replySchema, sample, signal })
        return { reply, isFromCache: false, costUsd: null, latencyMs: 1, endpoint: model.endpoint, key: null }
      },
    }
    const random: Model = {
      ...model,
      complete: async () => ({ text: String(Math.random()), finishReason: 'stop', usage: null, model: 'random' }),
    }
    const cache = new ReplyCache({ next, store, clock: { now: Date.now } })
    const samples = [0, 1, 2, 3, 4].map(sample => cache.call(callOf({ model: random, sample })))
    const results = await Promise.all(samples)
    await cache.close()
    await store.close()
    return { texts: results.map(({ reply }) => reply.text), keys: results.map(({ key }) => key), calls }
  }

  it('pays five samples of one request as five calls, keeps five replies, and pays none of them again', async () => {
    const first = await fiveSamples()
    expect(first.calls).toBe(5)
    expect(new Set(first.texts).size).toBe(5)
    const again = await fiveSamples()
    expect(again).toEqual({ ...first, calls: 0 })
    const store = await SqliteSpendingStore.open(folder, { create: false, readOnly: true })
    expect(await store.cacheSummary()).toMatchObject({ replies: 5, served: { times: 5 } })
    await store.close()
  })
})
