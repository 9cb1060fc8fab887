import type { Source } from './source.ts'
import { readText } from './support/text.ts'

/** Plain text: the whole input is one document. What looks like nothing else is taken for it. */
export const text: Source = {
  name: 'text',
  summary: 'plain text in UTF-8: the whole file is one document',
  endings: ['.txt', '.text'],
  detect: () => true,
  async *read(input, options) {
    yield await readText(input, options, 'text')
  },
}
