import type { Search } from '../../operators/search.ts'
import type { Pipeline } from '../pipeline.ts'

/** A search that is open until it is closed. */
export interface OpenSearch extends Search {
  close(): Promise<void>
}

/** A search as configured: what its results depend on is known before anything is opened. */
export interface SearchSource {
  readonly name: string
  /** Whether others are asked, so that nothing is searched just to see what would be found. */
  readonly isRemote: boolean
  /** @throws {SituError} DATA_* */
  open(pipeline: Pipeline): Promise<OpenSearch>
}
