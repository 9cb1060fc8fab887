import { describe, expect, it } from 'vitest'
import { markdown } from '../../../streams/sources/markdown.ts'
import { text } from '../../../streams/sources/text.ts'
import { chunksOf, read } from './collect.ts'

describe.each([text, markdown])('$name', source => {
  it('makes one item of the whole input, without a byte order mark', async () => {
    const found = await read(source, chunksOf('\ufeffgrün\r\n\r\nzwei\n', 2))
    expect(found).toEqual([
      { kind: 'item', content: 'grün\r\n\r\nzwei\n', format: source.name, url: null, title: null, place: null },
    ])
  })

  it('makes an empty item of an empty file', async () => {
    expect(await read(source, '')).toMatchObject([{ kind: 'item', content: '' }])
  })

  it('names the byte that is no UTF-8', async () => {
    expect(await read(source, Buffer.from([0x61, 0xe4, 0x62]))).toMatchObject([
      { code: 'INPUT_NOT_UTF8', message: 'byte 1 of the input is no UTF-8' },
    ])
  })

  it('names the first NUL byte', async () => {
    expect(await read(source, 'ab\0c')).toMatchObject([{ code: 'INPUT_NOT_TEXT', message: 'byte 2 is NUL' }])
  })

  it('refuses more than the limit, with the size of the whole', async () => {
    expect(await read(source, chunksOf('a'.repeat(1001), 10), { maxRecordBytes: 1000 })).toMatchObject([
      { code: 'RECORD_TOO_LARGE', message: '1001 bytes are more than the limit of 1000', whole: { size: 1001 } },
    ])
    expect(await read(source, chunksOf('a'.repeat(1000), 10), { maxRecordBytes: 1000 })).toMatchObject([
      { kind: 'item' },
    ])
  })
})
