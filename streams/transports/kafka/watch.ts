import type { Brokers } from './brokers.ts'
import type { Fetch } from './fetch.ts'
import type { Page, Place } from './page.ts'

interface Waiter extends Place {
  resolve: (page: Page | null) => void
}

/**
 * Waits at the end of many partitions with one open fetch a broker: a connection answers one request after the other,
 * so that readers who each held a fetch open would wait for each other.
 */
export class Watch {
  readonly #brokers: Brokers
  readonly #fetch: Fetch
  readonly #maxWaitMs: number
  readonly #waiters = new Map<string, Set<Waiter>>()

  /** @param brokers - With connections that nobody else uses. */
  constructor(brokers: Brokers, fetch: Fetch, maxWaitMs: number) {
    this.#brokers = brokers
    this.#fetch = fetch
    this.#maxWaitMs = maxWaitMs
  }

  /** The next page from this place on; null where the caller should look by itself, and when it is aborted. */
  async next(place: Place, signal: AbortSignal): Promise<Page | null> {
    const node = await this.#nodeOf(place, signal)
    if (node === null || signal.aborted) return null
    const { promise, resolve } = Promise.withResolvers<Page | null>()
    const waiter = { ...place, resolve }
    const giveUp = () => resolve(null)
    signal.addEventListener('abort', giveUp, { once: true })
    const others = this.#waiters.get(node)
    if (others) others.add(waiter)
    else {
      const waiters = new Set([waiter])
      this.#waiters.set(node, waiters)
      void this.#poll(node, waiters)
    }
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', giveUp)
      this.#waiters.get(node)?.delete(waiter)
    }
  }

  async #nodeOf({ topic, partition }: Place, signal: AbortSignal): Promise<string | null> {
    try {
      const work = async () => String((await this.#brokers.leader(topic, partition)).nodeId)
      return await this.#brokers.call(`leader of topic ${topic}, partition ${partition}`, work, { signal })
    } catch (error) {
      if (signal.aborted) return null
      throw error
    }
  }

  /** Goes on as long as somebody waits for this broker. */
  async #poll(node: string, waiters: Set<Waiter>): Promise<void> {
    while (waiters.size > 0) {
      const asked = [...waiters]
      try {
        await this.#ask(asked)
      } catch {
        // Each looks by itself, and finds out which partition it was.
        for (const waiter of asked) waiter.resolve(null)
      }
      // Those who have got something leave the set first, and come back at its end: a broker fills its answer in the
      // order of the question, so nobody is the last for long.
      await new Promise(resolve => setImmediate(resolve))
    }
    this.#waiters.delete(node)
  }

  async #ask(waiters: readonly Waiter[]): Promise<void> {
    const groups = [...Map.groupBy(waiters, ({ topic, partition }) => `${topic}/${partition}`).values()]
    const places = groups.map(group => group.reduce((first, other) => (other.offset < first.offset ? other : first)))
    const [first] = places
    if (!first) return
    const pages = await this.#brokers.call(
      'waiting for messages',
      async () => {
        const broker = await this.#brokers.leader(first.topic, first.partition)
        return this.#fetch.fetchFrom(broker, places, this.#maxWaitMs)
      },
      { withinMs: 0 },
    )
    for (const [index, page] of pages.entries()) {
      for (const waiter of groups[index] ?? []) offer(waiter, page)
    }
  }
}

function offer({ offset, resolve }: Waiter, page: Page): void {
  if (page.next > offset) resolve({ ...page, messages: page.messages.filter(message => message.offset >= offset) })
  // Something is there that the fetch could not show.
  else if (page.stable > offset) resolve(null)
}
