import { describe, expect, it } from 'vitest'
import { json } from '../../../streams/sources/json.ts'
import { defaultSourceOptions } from '../../../streams/sources/source.ts'
import { brief, chunksOf, read } from './collect.ts'

describe('json', () => {
  it('makes an item of each object of an array, whatever the chunks are', async () => {
    const content = '\ufeff [\n {"text": "a \\"]}{[ \\\\", "url": "u"} ,{"text":"b","n":[1,{"x":"]"}]}\n]\n'
    const whole = await read(json, content)
    expect(brief(whole)).toEqual(['record 1: a "]}{[ \\', 'record 2: b'])
    for (const size of [1, 2, 3, 5, 8]) expect(await read(json, chunksOf(content, size))).toEqual(whole)
  })

  it('takes one object, over many lines or one, for the only record', async () => {
    expect(brief(await read(json, '{\n  "text": "a"\n}\n'))).toEqual(['-: a'])
    expect(brief(await read(json, '{"text":"a"}\n'))).toEqual(['-: a'])
  })

  it('reads objects and arrays that follow one another', async () => {
    const content = '{\n"text":"a"}\n{\n"text":"b"\n}[{"text":"c"}][]\n[{"text":"d"}]'
    expect(brief(await read(json, content))).toEqual(['-: a', 'record 2: b', 'record 3: c', 'record 4: d'])
  })

  it('reads a file with an object a line as JSON lines', async () => {
    expect(brief(await read(json, '{"text":"a"}\n{"text": broken}\n{"text":"c"}\n'))).toEqual([
      'line 1: a',
      'line 2: INPUT_MALFORMED',
      'line 3: c',
    ])
  })

  it('goes on behind a broken record of an array', async () => {
    const content = '[{"text":"a"},{"text":b},{"text":"c"},7,null,"s",{"x":1},{"text":"d"}]'
    expect(brief(await read(json, content))).toEqual([
      'record 1: a',
      'record 2: INPUT_MALFORMED',
      'record 3: c',
      'record 4: INPUT_MALFORMED',
      'record 5: INPUT_MALFORMED',
      'record 6: INPUT_MALFORMED',
      'record 7: INPUT_MALFORMED',
      'record 8: d',
    ])
  })

  it('says that an array, or a record in it, does not end', async () => {
    expect(brief(await read(json, '[{"text":"a"},'))).toEqual(['record 1: a', '-: INPUT_MALFORMED'])
    expect(brief(await read(json, '[{"text":"a"},{"te'))).toEqual(['record 1: a', 'record 2: INPUT_MALFORMED'])
  })

  it('makes one fault of the rest where nothing can begin, with its size', async () => {
    const rest = `}${'x'.repeat(300 * 1024)}`
    const found = await read(json, chunksOf(`[{"text":"a"},${rest}`, 1000))
    expect(brief(found)).toEqual(['record 1: a', 'record 2: INPUT_MALFORMED'])
    expect(found[1]).toMatchObject({
      message: 'no JSON value can begin at byte 14; the rest of the input is left out',
      whole: { size: rest.length },
    })
  })

  it('skips an oversized record and goes on', async () => {
    const content = `[{"text":"${'a'.repeat(5000)}"},{"text":"b"}]`
    const found = await read(json, chunksOf(content, 100), { maxRecordBytes: 1000 })
    expect(brief(found)).toEqual(['record 1: RECORD_TOO_LARGE', 'record 2: b'])
    expect(found[0]).toMatchObject({ message: '5011 bytes are more than the limit of 1000' })
  })

  it('names the byte that is no UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('[{"text":"a'), Buffer.of(0xc3), Buffer.from('"},{"text":"b"}]')])
    const found = await read(json, bytes)
    expect(brief(found)).toEqual(['record 1: INPUT_NOT_UTF8', 'record 2: b'])
    expect(found[0]).toMatchObject({ message: 'byte 11 of the input is no UTF-8' })
  })

  it('reads nothing of an empty input and an empty array', async () => {
    expect(await read(json, '')).toEqual([])
    expect(await read(json, ' [ ] ')).toEqual([])
  })

  it('yields a record before the next one is there', async () => {
    const steps: string[] = []
    async function* bytes() {
      yield Buffer.from('[{"text":"a"},')
      steps.push('second chunk asked for')
      yield Buffer.from('{"text":"b"}]')
    }
    for await (const found of json.read({ bytes: bytes(), path: null }, defaultSourceOptions)) {
      steps.push(found.kind === 'item' ? found.content : found.code)
    }
    expect(steps).toEqual(['a', 'second chunk asked for', 'b'])
  })

  it.each([
    ['[{"text":"a"}]', true],
    ['[\n  {', true],
    ['[]', true],
    ['{\n "a": 1', true],
    ['[Verse 1]', false],
    ['[1] A reference.', false],
    ['words', false],
  ])('detects %j: %s', (head, expected) => {
    expect(json.detect(Buffer.from(head))).toBe(expected)
  })
})
