import { canonicalJson, hash } from '../../operators/hash.ts'
import type { ModelReply } from '../../operators/model.ts'
import type { Clock } from '../clock.ts'
import { hashMessages } from '../message-text.ts'
import { closedError } from '../transports/outgoing.ts'
import { type Call, type Caller, CallRefused, type CallResult } from './caller.ts'
import { OpenCall } from './open-call.ts'
import type { PaidReply, ReplyStore } from './store.ts'

export interface ReplyCacheOptions {
  /** Makes the calls. */
  next: Caller
  store: ReplyStore
  clock: Pick<Clock, 'now'>
  /** Operators whose calls go past the cache. */
  off?: ReadonlySet<string>
}

interface Found {
  paid: PaidReply
  isNew: boolean
}

/**
 * Makes each call once: its reply is kept before it is used, and served from then on.
 *
 * - Requests that are the same at the same time are one call. It runs on when all who asked have given up: a reply
 *   that is paid is kept.
 * - A reply is rejected when its record ends as a dead letter because of it. Until then it fails its check again in
 *   the same way, and leads to the same corrective request, whose reply is kept too: so a second run makes no calls.
 * - Where the store can't be read, no call is made. Where a reply can't be written, the call fails with the error of
 *   the store, which ends the run; the reply stays here, is offered to the store again when it is asked for and at the
 *   end, and is never paid twice by this process.
 */
export class ReplyCache implements Caller {
  readonly #next: Caller
  readonly #store: ReplyStore
  readonly #clock: Pick<Clock, 'now'>
  readonly #off: ReadonlySet<string>
  readonly #open = new Map<string, OpenCall<Found>>()
  /** Calls that have their reply and those that wait for it; also of those whose callers have all gone. */
  readonly #running = new Set<Promise<unknown>>()
  /** Paid, but refused by the store. */
  readonly #unsaved = new Map<string, PaidReply>()
  readonly #closing = new AbortController()

  constructor({ next, store, clock, off = new Set() }: ReplyCacheOptions) {
    this.#next = next
    this.#store = store
    this.#clock = clock
    this.#off = off
  }

  async call(call: Call): Promise<CallResult> {
    if (this.#off.has(call.operator)) return this.#next.call(call)
    const key = requestKey(call)
    for (;;) {
      call.signal.throwIfAborted()
      this.#closing.signal.throwIfAborted()
      const open = this.#open.get(key) ?? this.#begin(key, call)
      try {
        return this.#resultOf(key, open, await open.join(call))
      } catch (error) {
        // It was refused since all who had asked before gave up: that was not meant for this one.
        if (!(error instanceof CallRefused && open.isAbandoned) || call.draining.aborted) throw error
      }
    }
  }

  #begin(key: string, call: Call): OpenCall<Found> {
    const open = new OpenCall<Found>()
    this.#open.set(key, open)
    const work = this.#findOrPay(key, call, open).finally(() => this.#open.delete(key))
    open.settle(work)
    this.#track(work)
    return open
  }

  async #findOrPay(key: string, call: Call, open: OpenCall<Found>): Promise<Found> {
    const unsaved = this.#unsaved.get(key)
    if (unsaved) await this.#save(key, unsaved)
    const kept = unsaved ?? (await this.#store.getReply(key))
    return kept ? { paid: kept, isNew: false } : { paid: await this.#pay(key, call, open), isNew: true }
  }

  async #pay(key: string, call: Call, open: OpenCall<Found>): Promise<PaidReply> {
    if (open.isAbandoned) throw new CallRefused()
    const result = await this.#next.call({
      ...call,
      signal: this.#closing.signal,
      draining: open.abandoned,
      onWait: isWaiting => open.tellWaiting(isWaiting),
    })
    const { costUsd, latencyMs, endpoint } = result
    const reply = withoutLimits(result.reply)
    const paid = { reply, costUsd, latencyMs, endpoint, operator: call.operator, time: this.#clock.now() }
    this.#unsaved.set(key, paid)
    await this.#save(key, paid)
    return paid
  }

  /** The first one to get a new reply is the one who paid. */
  #resultOf(key: string, open: OpenCall<Found>, { paid, isNew }: Found): CallResult {
    const isFromCache = !isNew || !open.claim()
    if (isFromCache) this.#store.countServed(paid)
    const { reply, costUsd, latencyMs, endpoint } = paid
    return { reply, isFromCache, costUsd, latencyMs, endpoint, key }
  }

  async #save(key: string, paid: PaidReply): Promise<void> {
    await this.#store.putReply(key, paid)
    this.#unsaved.delete(key)
  }

  #track(work: Promise<unknown>): void {
    const end = () => this.#running.delete(work)
    this.#running.add(work)
    work.then(end, end)
  }

  /** Keeps these replies as evidence: from now on their requests are calls again. @param keys - As in the results. */
  async reject(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const unsaved = this.#unsaved.get(key)
      if (unsaved) await this.#save(key, unsaved)
    }
    await this.#store.rejectReplies(keys)
  }

  /**
   * Resolves when no call is running any more, and every reply is kept. Callers who want no new ones see to that
   * themselves.
   *
   * @throws {SituError} A reply that was paid can't be written.
   */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    for (const [key, paid] of this.#unsaved) await this.#save(key, paid)
  }

  /** Ends the calls that are running, and keeps what was paid. Neither the calls behind it nor the store are closed. */
  async close(): Promise<void> {
    this.#closing.abort(closedError('model'))
    await this.settled()
  }
}

/** Hash of what is asked: two requests with one key are the same question with the same number. */
export function requestKey({ model, messages, replySchema, sample, replyTokens = model.replyTokens }: Call): string {
  return hash(
    'reply',
    model.model,
    textOf(model.parameters),
    String(replyTokens === model.replyTokens ? '' : replyTokens),
    // As canonical JSON of the whole: the object is made for each call, the schema in it is not.
    `{"name":${JSON.stringify(replySchema.name)},"schema":${textOf(replySchema.schema)}}`,
    String(sample),
    hashMessages(messages),
  )
}

const texts = new WeakMap<object, string>()

/** Models and schemas are few and don't change, calls are many. */
function textOf(value: object): string {
  const known = texts.get(value)
  if (known !== undefined) return known
  const text = canonicalJson(value)
  texts.set(value, text)
  return text
}

/** What an endpoint told of its limits is of no use later. */
function withoutLimits({ rateLimits: _, ...reply }: ModelReply): ModelReply {
  return reply
}
