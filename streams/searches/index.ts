import type { Config } from '../config/config.ts'
import { FullTextSearch, fullTextName } from './full-text.ts'
import type { SearchSource } from './search.ts'
import type { SearchSettings } from './settings.ts'

/** The search that the configuration names; without one that over the documents of the pipeline. */
export function createSearch(config: Config): SearchSource {
  const { search } = config
  if (search.kind === 'full-text') {
    return { name: fullTextName, isRemote: false, open: pipeline => FullTextSearch.open(pipeline, config) }
  }
  return {
    name: webSearchName(search),
    isRemote: true,
    async open() {
      // Its client is loaded only where it is used.
      const { SearxngSearch } = await import('./searxng.ts')
      return new SearxngSearch(search, webSearchName(search))
    },
  }
}

/** Another address of the same engines gives the same results, as with models: it is no part of the name. */
function webSearchName({ engines, language }: Extract<SearchSettings, { kind: 'searxng' }>): string {
  return ['searxng', 'version 1', `engines ${engines.join(' ') || 'default'}`, `language ${language}`].join(', ')
}
