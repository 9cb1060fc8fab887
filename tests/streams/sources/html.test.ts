import { describe, expect, it } from 'vitest'
import { html } from '../../../streams/sources/html.ts'
import { chunksOf, read } from './collect.ts'

const page = (charset: string, body: Buffer) =>
  Buffer.concat([
    Buffer.from(`<html><head><meta charset="${charset}"></head><body>`),
    body,
    Buffer.from('</body></html>'),
  ])

describe('html', () => {
  it('makes one item of the page', async () => {
    const content = '<!doctype html><p>grün</p>'
    expect(await read(html, chunksOf(`\ufeff${content}`, 3))).toEqual([
      { kind: 'item', content, format: 'html', url: null, title: null, place: null },
    ])
  })

  it('reads UTF-8 as UTF-8 though the page declares something else', async () => {
    expect(await read(html, page('gb2312', Buffer.from('你好')))).toMatchObject([
      { content: expect.stringContaining('你好') },
    ])
  })

  it.each([
    ['gb2312', [0xc4, 0xe3, 0xba, 0xc3], '你好'],
    ['windows-1252', [0x80, 0xe4], '€ä'],
    ['ISO-8859-1', [0xe9], 'é'],
    ['Shift_JIS', [0x93, 0xfa], '日'],
    ['koi8-r', [0xf0], 'П'],
  ])('reads the declared %s where the bytes are no UTF-8', async (charset, bytes, expected) => {
    expect(await read(html, page(charset, Buffer.from(bytes)))).toMatchObject([
      { content: expect.stringContaining(`<body>${expected}</body>`) },
    ])
  })

  it('reads the declaration in the older form', async () => {
    const head = Buffer.from('<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">')
    expect(await read(html, Buffer.concat([head, Buffer.of(0xe4)]))).toMatchObject([
      { content: expect.stringMatching(/ä$/) },
    ])
  })

  it.each(['utf-8', 'no-such-encoding', 'shift_jis', ''])(
    'makes a fault of bytes that do not fit %j',
    async charset => {
      expect(await read(html, page(charset, Buffer.from([0x82, 0xff])))).toMatchObject([{ code: 'INPUT_NOT_UTF8' }])
    },
  )

  it.each([
    ['\n<!DOCTYPE html>', true],
    ['<p>', true],
    ['<?xml version="1.0"?>', true],
    ['<3', false],
    ['a <p>', false],
    ['', false],
  ])('detects %j: %s', (head, expected) => {
    expect(html.detect(Buffer.from(head))).toBe(expected)
  })
})
