import type { FoundDocument, Search, SearchOptions } from '../../operators/search.ts'
import type { Clock } from '../clock.ts'
import { CallRefused } from '../spending/caller.ts'
import { CallRetries, type RetryPolicy } from './call-retries.ts'
import type { RecordLimit } from './record-limit.ts'

export interface SearchPorts {
  retry: RetryPolicy
  clock: Clock
  /** Aborted where no new call may begin: nobody waits for one any more. */
  draining: AbortSignal
}

/** Makes the searches of one record, failed ones again; what was found once stays found, however often it is asked. */
export class SearchCalls implements Search {
  readonly #search: Search
  readonly #ports: SearchPorts
  readonly #limit: RecordLimit
  readonly #retries: CallRetries
  readonly #found = new Map<string, FoundDocument[]>()

  /** @param record - Id by which the waits of different records are spread out. */
  constructor(search: Search, ports: SearchPorts, limit: RecordLimit, record: string) {
    this.#search = search
    this.#ports = ports
    this.#limit = limit
    this.#retries = new CallRetries(ports.retry, record, ports.clock.now())
  }

  get name(): string {
    return this.#search.name
  }

  /** @throws {SituError} SEARCH_*, once it is not tried again. @throws {CallRefused} A drain has begun. */
  async find(keywords: readonly string[], options: SearchOptions): Promise<FoundDocument[]> {
    const key = JSON.stringify([keywords, options.limit])
    const found = this.#found.get(key) ?? (await this.#find(keywords, options))
    this.#found.set(key, found)
    return found
  }

  async #find(keywords: readonly string[], options: SearchOptions): Promise<FoundDocument[]> {
    const { clock, draining } = this.#ports
    for (;;) {
      if (draining.aborted) throw new CallRefused()
      try {
        return await this.#search.find(keywords, options)
      } catch (error) {
        const waitMs = this.#limit.signal.aborted ? null : this.#retries.next(error, clock.now())
        if (waitMs === null) throw error
        await clock.sleep(waitMs, AbortSignal.any([this.#limit.signal, draining]))
      }
    }
  }
}
