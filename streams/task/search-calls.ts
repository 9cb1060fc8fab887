import type { FoundDocument, Search, SearchOptions } from '../../operators/search.ts'
import { CallRetries, type RetryPorts, withRetries } from './call-retries.ts'
import type { RecordLimit } from './record-limit.ts'

/** Makes the searches of one record, failed ones again; what was found once stays found, however often it is asked. */
export class SearchCalls implements Search {
  readonly #search: Search
  readonly #ports: RetryPorts
  readonly #limit: RecordLimit
  readonly #retries: CallRetries
  readonly #found = new Map<string, FoundDocument[]>()

  /** @param record - Id by which the waits of different records are spread out. */
  constructor(search: Search, ports: RetryPorts, limit: RecordLimit, record: string) {
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
    const find = () => this.#search.find(keywords, options)
    const found = this.#found.get(key) ?? (await withRetries(find, this.#retries, this.#ports, this.#limit))
    this.#found.set(key, found)
    return found
  }
}
