import { countTokens } from 'gpt-tokenizer/encoding/o200k_base'
import { describe, expect, it } from 'vitest'
import { BytePairs } from '../../operators/byte-pairs.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { readDocuments } from '../support/documents.ts'

const plainText = { disallowedSpecial: new Set<string>() }

describe('the tokenizer beside the library that its encoding comes from', () => {
  const tokenizer = createTokenizer()

  it.each([
    ['words that are no token', 'floccinaucinihilipilification antidisestablishmentarianism Zyzzyva'],
    ['words in other scripts', 'Нидерландско-английский 渡轮每天早上九点出发 フェリー تغادر नौका ɣʷəlɔ'],
    ['emoji and joined ones', 'a 👩‍👩‍👧‍👦 b 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🧪🧪 ❤️'],
    ['halves of pairs', 'x \ud83d y \ude00\ud83d z'],
    ['contractions and signs', "It's, they'LL; we've -- (don't) {{json}} <|endoftext|> \\frac{1}{2} a_b/c"],
    ['white space', ' \t\n\n  x \r\n y   '],
    ['digits', '1234567 3.14159 10,000'],
    ['nothing', ''],
  ])('counts %s alike', (_, text) => {
    expect(tokenizer.count(text)).toBe(countTokens(text, plainText))
  })

  it('counts the beginnings of 300 documents alike, and again from what it remembers', () => {
    const texts = readDocuments(300).map(({ text }) => text.slice(0, 500))
    const wanted = texts.map(text => countTokens(text, plainText))
    expect(texts.map(text => tokenizer.count(text))).toEqual(wanted)
    expect(texts.map(text => tokenizer.count(text))).toEqual(wanted)
  })
})

describe('BytePairs', () => {
  const texts = ['a', 'b', 'c', 'ab', 'bc', 'abc', [0xc3], [0xa9], 'é', 'aé']
  const lines = texts.map((text, rank) => `${Buffer.from(text as string).toString('base64')} ${rank}`)
  const tokens = Buffer.from(lines.join('\n'))

  it.each([
    ['a', 1],
    ['abc', 1],
    ['abcab', 2],
    // ab is joined before bc, which leaves c alone.
    ['abcb', 2],
    ['cba', 3],
    ['é', 1],
    ['éa', 2],
    ['caé', 2],
  ])('joins the lowest rank first: %s', (word, count) => {
    expect(new BytePairs(tokens).count(word)).toBe(count)
  })

  it('counts a word longer than any before', () => {
    const pairs = new BytePairs(tokens)
    expect(pairs.count('abc'.repeat(500))).toBe(500)
    expect(pairs.count('cab')).toBe(2)
  })

  it('takes no file with a line missing', () => {
    expect(() => new BytePairs(Buffer.from(lines.toSpliced(3, 1).join('\n')))).toThrow('expected rank 3, got 4')
  })
})
