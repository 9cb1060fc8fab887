import { describe, expect, it } from 'vitest'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'

const tokenizer = createTokenizer()

const prose: Record<string, { text: string; ends: RegExp }> = {
  English: { text: 'The ferry leaves at nine, at 3.50 euros. Is it late? "Not today!" ', ends: /[.?]$|!"$/ },
  Chinese: { text: '渡轮每天早上九点出发。你要提前到达吗？「当然！」', ends: /[。？]$|！」$/ },
  Japanese: { text: 'フェリーは九時に出ます。早く来てください！', ends: /[。！]$/ },
  Arabic: { text: 'تغادر العبارة في التاسعة. هل تأخرت اليوم؟ ', ends: /[.؟]$/ },
  Hindi: { text: 'नौका नौ बजे निकलती है। जल्दी आना अच्छा है। ', ends: /।$/ },
  Russian: { text: 'Паром отходит в девять часов… Приходите раньше! ', ends: /[…!]$/ },
}

const odd: Record<string, string> = {
  letters: 'a'.repeat(1_000_000),
  capitals: 'A'.repeat(1_000_000),
  digits: '7'.repeat(1_000_000),
  spaces: ' '.repeat(1_000_000),
  'line ends': '\n'.repeat(1_000_000),
  signs: '='.repeat(1_000_000),
  base64: Buffer.from(
    Array.from({ length: 750_000 }, (_, index) => (index * 7_919 + ((index * index) >> 3)) & 255),
  ).toString('base64'),
  'Chinese without punctuation': Array.from({ length: 400_000 }, (_, index) =>
    String.fromCharCode(0x4e00 + ((index * 7_919) % 20_000)),
  ).join(''),
  emoji: '😀'.repeat(300_000),
  'halves of pairs': '\ud83d'.repeat(300_000),
  'combining marks': `e${'\u0301'.repeat(500_000)}`,
  mixed: 'a1 =\t😀渡\n'.repeat(100_000),
}

describe('count', () => {
  it('counts as the encoding does', () => {
    expect(tokenizer.count('')).toBe(0)
    expect(tokenizer.count('hello world')).toBe(2)
    expect(tokenizer.count('The quick brown fox jumps over the lazy dog.')).toBe(10)
  })

  it('counts special tokens as plain text', () => {
    const text = '<|endoftext|> <|im_start|>system<|im_end|> <|fim_prefix|>'
    expect(tokenizer.count(text)).toBeGreaterThan(15)
    expect(tokenizer.count(text.repeat(100))).toBeGreaterThan(1_500)
  })

  it('counts a long text as the sum of its sentences', () => {
    const sentence = ' The ferry leaves at nine'
    expect(tokenizer.count(sentence.repeat(10_000))).toBe(10_000 * tokenizer.count(sentence))
  })

  it('gives the same number from the cache', () => {
    const text = prose.English?.text.repeat(20) ?? ''
    expect(tokenizer.count(text)).toBe(tokenizer.count(text))
    expect(createTokenizer().count(text)).toBe(tokenizer.count(text))
  })

  it.each(Object.entries(odd))('counts a megabyte of %s in bounded time', (_name, text) => {
    expect(tokenizer.count(text)).toBeGreaterThan(0)
  })
})

const first = 'One sentence stands here, and it has more than half of the words.'

describe('cut', () => {
  it('gives the text itself where it fits', () => {
    const text = ' short text, white space kept \n'
    expect(tokenizer.cut(text, 100)).toEqual({ text, tokens: tokenizer.count(text), cut: false })
    expect(tokenizer.cut(text, tokenizer.count(text)).cut).toBe(false)
    expect(tokenizer.cut('', 10)).toEqual({ text: '', tokens: 0, cut: false })
    expect(tokenizer.cut(text, 0)).toEqual({ text: '', tokens: 0, cut: true })
  })

  it.each(Object.entries(prose))('ends with a sentence in %s', (_name, { text, ends }) => {
    for (const maxTokens of [30, 100, 333, 1_000]) {
      const result = tokenizer.cut(text.repeat(400), maxTokens)
      expect(result.text).toMatch(ends)
      expect(result.tokens).toBeGreaterThan(maxTokens * 0.5 - 20)
    }
  })

  it.each([
    ['an initial', `${first} We met J. R. Smith and many others in the town of that name`, first],
    ['an abbreviation', `${first} We met Dr. Smith and Mrs. Jones and others in the town`, first],
    ['a number', `${first} The value of 3.14159 and the address www.example.org say`, first],
    ['the number of a list', `${first} Then\n1. a first thing that goes on and on and on and on`, first],
    ['an announcement', `${first} The list is:\n\n- one thing that is long and long and long`, first],
  ])('takes %s for no end', (_name, text, expected) => {
    const fits = tokenizer.count(expected) + 7
    expect(tokenizer.cut(text, fits).text).toBe(expected)
  })

  it('ends with a line, else a word, where no sentence ends in the second half', () => {
    expect(tokenizer.cut('one two three\nfour five six\nseven eight nine', 10).text).toBe(
      'one two three\nfour five six',
    )
    expect(tokenizer.cut('alpha beta gamma delta epsilon zeta eta', 4).text).toMatch(/^alpha( beta| gamma| delta)*$/)
  })

  const texts = Object.entries({
    ...odd,
    ...Object.fromEntries(Object.entries(prose).map(([k, v]) => [k, v.text.repeat(300)])),
  })
  it.each(texts)('never goes over the limit, and is a beginning of the text: %s', (_name, text) => {
    for (const maxTokens of [1, 2, 7, 64, 511, 4_096]) {
      const result = tokenizer.cut(text, maxTokens)
      expect(result.tokens).toBe(tokenizer.count(result.text))
      expect(result.tokens).toBeLessThanOrEqual(maxTokens)
      expect(text.startsWith(result.text)).toBe(true)
      if (text.isWellFormed()) expect(result.text.isWellFormed()).toBe(true)
    }
  })

  it('reads no further than it must', () => {
    const text = 'The ferry leaves at nine, rain or shine. '.repeat(250_000)
    expect(tokenizer.cut(text, 4_096).tokens).toBeGreaterThan(4_000)
  })
})
