import type { Source } from './source.ts'
import { readText } from './support/text.ts'

/** Markdown: the whole input is one document. Told by the file ending or --format alone. */
export const markdown: Source = {
  name: 'markdown',
  summary: 'Markdown in UTF-8: the whole file is one document',
  endings: ['.md', '.markdown'],
  detect: () => false,
  async *read(input, options) {
    yield await readText(input, options, 'markdown')
  },
}
