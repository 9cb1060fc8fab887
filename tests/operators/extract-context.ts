import { type ExtractOptions, extract } from '../../operators/extract.ts'
import type { Context } from '../../operators/operator.ts'
import type { Page } from '../../schemas/records.ts'

/** What `extract` needs of its context: the options. */
export function extractContext(options: Partial<ExtractOptions> = {}): Context<ExtractOptions> {
  return { id: 'page-1', options: extract.options.parse(options) } as Context<ExtractOptions>
}

export function htmlPage(content: string, fields: Partial<Page> = {}): Page {
  return { id: 'page-1', url: null, title: null, content, format: 'html', source: null, ...fields }
}
