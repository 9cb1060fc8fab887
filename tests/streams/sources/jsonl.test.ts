import { describe, expect, it } from 'vitest'
import { jsonl } from '../../../streams/sources/jsonl.ts'
import { brief, chunksOf, read } from './collect.ts'

describe('jsonl', () => {
  it('makes an item of each line, with its url and title', async () => {
    const found = await read(jsonl, '{"text":"a","url":"http://e.org/","title":"A"}\n{"content":"b"}\n')
    expect(found).toEqual([
      { kind: 'item', content: 'a', format: 'text', url: 'http://e.org/', title: 'A', place: 'line 1' },
      { kind: 'item', content: 'b', format: 'text', url: null, title: null, place: 'line 2' },
    ])
  })

  it('reads the same whatever the chunks are', async () => {
    const content = '\ufeff{"text":"grün"}\r\n\r\n  \n{"text":"日本"}\nbroken\n{"text":"last"}'
    const whole = await read(jsonl, content)
    expect(brief(whole)).toEqual(['line 1: grün', 'line 4: 日本', 'line 5: INPUT_MALFORMED', 'line 6: last'])
    for (const size of [1, 2, 3, 5, 7, 16]) expect(await read(jsonl, chunksOf(content, size))).toEqual(whole)
  })

  it('names line, rule and what stands there for a line that is no JSON', async () => {
    const [fault] = await read(jsonl, 'hello\n')
    expect(fault).toMatchObject({ kind: 'fault', code: 'INPUT_MALFORMED', place: 'line 1' })
    expect(fault?.kind === 'fault' && fault.message).toMatch(/^no JSON: Unexpected token 'h'/)
    expect(fault?.kind === 'fault' && Buffer.from(fault.evidence ?? []).toString()).toBe('hello')
  })

  it('takes a last line that was cut off for a fault', async () => {
    expect(brief(await read(jsonl, '{"text":"a"}\n{"text":"b'))).toEqual(['line 1: a', 'line 2: INPUT_MALFORMED'])
  })

  it('names the fields looked for and those present where none holds a text', async () => {
    const [fault] = await read(jsonl, '{"id":1,"texte":"a","tags":[],"none":null}\n')
    expect(fault).toMatchObject({
      message:
        'no text in text, content, html, body, markdown, raw_content; ' +
        'the fields are id (a number), texte, tags (an array), none (null)',
    })
  })

  it.each(['1', '"a"', 'null', '[{"text":"a"}]', 'true'])('refuses %s, which is no object', async line => {
    expect(brief(await read(jsonl, line))).toEqual(['line 1: INPUT_MALFORMED'])
  })

  it('finds the text under the names of other tools, an empty one only where no other is', async () => {
    const lines = ['{"html":"x"}', '{"body":"b"}', '{"markdown":"m"}', '{"raw_content":"r"}', '{"text":""}']
    const found = await read(jsonl, [...lines, '{"text":"","body":"b"}', '{"text":7,"body":"b"}'].join('\n'))
    expect(found.map(each => each.kind === 'item' && `${each.format} ${each.content}`)).toEqual([
      'html x',
      'text b',
      'markdown m',
      'text r',
      'text ',
      'text b',
      'text b',
    ])
  })

  it('follows a path into nested objects, and takes a name with a dot as it is', async () => {
    const options = { textField: ['page.text'], urlField: ['page.meta.url'] }
    const found = await read(jsonl, '{"page":{"text":"a","meta":{"url":"u"}}}\n{"page.text":"b"}\n', options)
    expect(found.map(each => each.kind === 'item' && [each.content, each.url])).toEqual([
      ['a', 'u'],
      ['b', null],
    ])
  })

  it('reaches no prototype by a field name', async () => {
    const line = '{"__proto__":{"text":"evil"},"constructor":{"name":"x"}}'
    expect(brief(await read(jsonl, line))).toEqual(['line 1: INPUT_MALFORMED'])
    expect(brief(await read(jsonl, '{"a":1}', { textField: ['constructor.name', '__proto__.x'] }))).toEqual([
      'line 1: INPUT_MALFORMED',
    ])
    expect(({} as Record<string, unknown>).text).toBeUndefined()
  })

  it.each([
    ['<!DOCTYPE html><html><body>x</body></html>', 'html'],
    ['\n  <html lang="en">…', 'html'],
    ['<p>A fragment.</p>\n', 'html'],
    ['<div class="a">b</div>', 'html'],
    ['<p align="center">logo</p>\n\n# A read-me\n\nIt is Markdown.', 'text'],
    ['a < b and c > d', 'text'],
    ['<3 you all>', 'text'],
    ['Use the <html> tag.', 'text'],
  ])('tells the format of %j', async (text, format) => {
    expect(await read(jsonl, JSON.stringify({ text }))).toMatchObject([{ format }])
  })

  it('names the byte of the input that is no UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"text":"\ufffd ok"}\n{"text":"\ufffd'),
      Buffer.of(0xff),
      Buffer.from('"}\n{"text":"z"}\n'),
    ])
    const found = await read(jsonl, bytes)
    expect(brief(found)).toEqual(['line 1: \ufffd ok', 'line 2: INPUT_NOT_UTF8', 'line 3: z'])
    expect(found[1]).toMatchObject({ message: `byte ${bytes.indexOf(0xff)} of the input is no UTF-8` })
  })

  it('skips a line of 100 MB in little memory, with its size and hash, and goes on', async () => {
    const block = Buffer.alloc(1024 * 1024, 'a')
    async function* bytes() {
      yield Buffer.from('{"text":"a"}\n{"text":"')
      for (let count = 0; count < 100; count++) yield block
      yield Buffer.from('"}\n{"text":"b"}\n')
    }
    const before = process.memoryUsage().rss
    const found = await read(jsonl, bytes())
    expect(brief(found)).toEqual(['line 1: a', 'line 2: RECORD_TOO_LARGE', 'line 3: b'])
    expect(found[1]).toMatchObject({
      message: '104857611 bytes are more than the limit of 16777216',
      whole: { size: 104_857_611, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
    expect(found[1]?.kind === 'fault' && found[1].evidence?.length).toBe(256 * 1024)
    expect(process.memoryUsage().rss - before).toBeLessThan(90 * 1024 * 1024)
  })

  it('replaces a lone surrogate, which has no UTF-8', async () => {
    expect(brief(await read(jsonl, '{"text":"a\\ud800b"}'))).toEqual(['line 1: a\ufffdb'])
  })

  it('reads a line nested a million deep without ending the process', async () => {
    const deep = `{"text":"a","x":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`
    expect(await read(jsonl, `${deep}\n{"text":"b"}`)).toHaveLength(2)
  })

  it.each([
    ['{"text":"a"}\n', true],
    ['{"text":"not ended', true],
    ['{"text": broken}\n', true],
    ['\n \n{"a":1}\n{', true],
    ['{\n  "text": "a"\n}', false],
    ['{ "a": [\n', false],
    ['{ "a": 1,\n  "b"', false],
    ['{"text": "a",\n{"text"', true],
    ['{"text":\n', true],
    ['[{"text":"a"}]', false],
    ['{{ a template }}', false],
    ['words', false],
    ['', false],
  ])('detects %j: %s', (head, expected) => {
    expect(jsonl.detect(Buffer.from(head))).toBe(expected)
  })
})
