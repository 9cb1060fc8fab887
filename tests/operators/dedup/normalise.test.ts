import { describe, expect, it } from 'vitest'
import { isEmpty, normalise, routeByText } from '../../../operators/dedup/normalise.ts'

describe('normalise', () => {
  it.each([
    ['  Two\t\r\n words\u00a0here ', 'two words here'],
    ['ＦＵＬＬ ｗｉｄｔｈ', 'full width'],
    ['ﬁne ① ㎏', 'fine 1 kg'],
    ['cafe\u0301', 'caf\u00e9'],
    ['STRASSE', normalise('Straße')],
    ['ΟΔΟΣ', normalise('οδος')],
    ['so\u00adft\u200b\ufeff', 'soft'],
    ['\u200b \ufeff', ''],
  ])('makes %j the same as %j', (text, expected) => {
    expect(normalise(text)).toBe(expected)
  })

  it('is done at once: a second time changes nothing', () => {
    for (const text of ['Ünïcödé  ΟΔΟΣ ﬁ', 'İstanbul ışık', '한국어 텍스트', '日本語　テキスト'])
      expect(normalise(normalise(text))).toBe(normalise(text))
  })

  it.each(['\u0301\u0323', ' ', 'a\u200d', '\ud800', 'ﷺ'])('takes a megabyte of %j in bounded time', piece => {
    normalise(`a${piece.repeat(1_000_000 / piece.length)}`)
  })
})

describe('routeByText', () => {
  it('gives one 32-bit number for texts that are equal after normalisation', () => {
    expect(routeByText('A  text')).toBe(routeByText('a text'))
    expect(routeByText('a text')).not.toBe(routeByText('another text'))
    for (const text of ['', 'x', 'y', 'z'])
      expect(routeByText(text)).toSatisfy((hash: number) => Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32)
  })
})

describe('isEmpty', () => {
  it.each(['', ' \n\t', '\u200b\u00ad\ufeff'])('holds for %j', text => expect(isEmpty(text)).toBe(true))
  it.each(['a', ' . ', '\u0301'])('does not hold for %j', text => expect(isEmpty(text)).toBe(false))
})
