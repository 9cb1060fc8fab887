import { describe, expect, it } from 'vitest'
import { readBenchmark } from '../../../operators/decontaminate/read-benchmark.ts'

describe('readBenchmark', () => {
  it('reads a row a line, with ids as text and without other fields', () => {
    const content = '{"id": "95/2", "text": "Name a river.", "source": "x"}\r\n\n{"id": 7, "text": "Name a lake."}\n'
    expect(readBenchmark(content, 'own')).toEqual([
      { benchmark: 'own', id: '95/2', text: 'Name a river.' },
      { benchmark: 'own', id: '7', text: 'Name a lake.' },
    ])
  })

  it.each([
    ['{"id": "1"', /^benchmark own, line 2: no JSON/],
    ['{"id": "1"}', /^benchmark own, line 2: text: .*\(\{"id": "1"\}\)$/],
    ['{"id": "", "text": "a"}', /^benchmark own, line 2: id: /],
    ['{"text": "a"}', /^benchmark own, line 2: id: expected a number, or a string that is not empty/],
    ['{"id": "1", "text": " "}', /^benchmark own, line 2: text: is empty/],
    ['[1]', /^benchmark own, line 2: the row: /],
  ])('refuses %s with its line', (line, message) => {
    expect(() => readBenchmark(`{"id": "0", "text": "a"}\n${line}`, 'own')).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(message) }),
    )
  })
})
