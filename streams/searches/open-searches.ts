import type { Search } from '../../operators/search.ts'
import type { Pipeline } from '../pipeline.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { OpenSearch, SearchSource } from './search.ts'

/** The searches that some stages work with: stages of one source share one. */
export class OpenSearches {
  readonly #pipeline: Pipeline
  readonly #open = new Map<SearchSource, OpenSearch>()

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline
  }

  /** @throws {SituError} DATA_* */
  async open(bindings: readonly StageBinding[]): Promise<void> {
    for (const { ports } of bindings) {
      const { search } = ports
      if (search && !this.#open.has(search)) this.#open.set(search, await search.open(this.#pipeline))
    }
  }

  /** Null for a stage that looks for nothing. */
  of({ ports: { search } }: StageBinding): Search | null {
    return (search && this.#open.get(search)) ?? null
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(open.map(search => search.close()))
  }
}
