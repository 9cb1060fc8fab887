import { describe, expect, it } from 'vitest'
import { sourceNamed, sourceOfHead, sourceOfName, sources } from '../../../streams/sources/index.ts'

describe('sources', () => {
  it('has no name and no ending twice', () => {
    const names = sources.map(source => source.name)
    const endings = sources.flatMap(source => source.endings)
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(endings).size).toBe(endings.length)
  })

  it.each([
    ['a.jsonl', 'jsonl'],
    ['a.ndjson.gz', 'jsonl'],
    ['A.JSON', 'json'],
    ['x/y.html.gz', 'html'],
    ['README.md', 'markdown'],
    ['a.txt', 'text'],
    ['a.pdf', undefined],
    ['gz', undefined],
  ])('tells the format of %s: %s', (name, expected) => {
    expect(sourceOfName(name)?.name).toBe(expected)
  })

  it('takes what looks like nothing for text', () => {
    expect(sourceOfHead(Buffer.from('# A title')).name).toBe('text')
  })

  it('names the nearest format for an unknown one', () => {
    expect(() => sourceNamed('josnl')).toThrow('--format: unknown format josnl: did you mean jsonl?')
  })
})
