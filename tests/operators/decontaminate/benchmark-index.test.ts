import { describe, expect, it } from 'vitest'
import { BenchmarkIndex, type BenchmarkPrompt } from '../../../operators/decontaminate/benchmark-index.ts'
import { hasBenchmarks, japanesePrompts, readBenchmarks } from '../../support/benchmarks.ts'
import { standInInstructions } from '../../support/stand-in-instructions.ts'
import { findPlanted } from './planted-prompts.ts'
import { sharedPrompts } from './same-text.ts'

const long =
  'Write a letter to the mayor of a small town in which a baker asks for a second tap beside the market hall.'

function indexOf(...texts: string[]): BenchmarkIndex {
  return new BenchmarkIndex(texts.map((text, at) => ({ benchmark: 'own', id: String(at + 1), text })))
}

describe('BenchmarkIndex', () => {
  it('finds 13 words in a row of a longer prompt, and says which', () => {
    const text = `Please help. WRITE a letter – to the mayor of a “small” town,\nin which a butcher complains.`
    expect(indexOf('Name a river.', long).find(text)).toEqual({
      benchmark: 'own',
      id: '2',
      ngram: 'write a letter to the mayor of a small town in which a',
    })
  })

  it('does not find 12 words in a row of a longer prompt', () => {
    expect(indexOf(long).find('Write a letter to the mayor of a small town in which each baker asks.')).toBeNull()
  })

  it('finds a prompt of 5 to 12 words as a whole inside a text, and no part of it', () => {
    const index = indexOf('How does a tidal mill work?')
    expect(index.find('My son asked: how does a tidal mill work in winter?')).toMatchObject({ id: '1' })
    expect(index.find('My son asked: how does a tidal mill turn?')).toBeNull()
  })

  it('finds a prompt below 5 words where it is the whole text only', () => {
    const index = indexOf('Prove the Pythagorean theorem.')
    expect(index.find('prove the Pythagorean theorem')).toMatchObject({ id: '1' })
    expect(index.find('Prove the Pythagorean theorem with paper.')).toBeNull()
  })

  it('compares by characters where the script has no spaces, inside other text too', () => {
    const prompt = '小さな港町の市長に、市場の隣に二つ目の水道を付けるように頼む手紙を書いてください。'
    const index = indexOf(prompt, '潮力の水車の仕組みを教えて。')
    expect(index.find(`Translate this: 「${prompt.slice(0, 30)}」`)).toMatchObject({ id: '1' })
    expect(index.find(`手紙の例を一つ。${prompt.slice(0, 12)}パン屋の話です。`)).toBeNull()
    expect(index.find('息子に潮力の水車の仕組みを教えてやりたい')).toMatchObject({ id: '2' })
  })

  it.each([
    [
      'case with several small forms',
      'Die STRASSE ist zu schmal für zwei Wagen',
      'die Straße ist zu schmal für zwei Wagen!',
    ],
    [
      'decomposed letters',
      'Où se trouve la forêt de chênes verts',
      'Où se trouve la forêt de chênes verts ?'.normalize('NFD'),
    ],
    [
      'wide letters',
      'Print the first ten lucky numbers',
      'Ｐｒｉｎｔ the first １０... Print the first ten lucky numbers',
    ],
    ['invisible characters', 'Print the first ten lucky numbers', 'Print the fi\u00adrst ten\u200b lucky numbers'],
  ])('folds %s', (_what, prompt, text) => {
    expect(indexOf(prompt).find(text)).toMatchObject({ id: '1' })
  })

  it('names the first prompt by benchmark and id where several hold it, whatever order they came in', () => {
    const prompts = ['b', 'a', 'c'].map(benchmark => ({ benchmark, id: '1', text: long }))
    for (const given of [prompts, prompts.toReversed()]) {
      expect(new BenchmarkIndex(given).find(long)).toMatchObject({ benchmark: 'a' })
    }
  })

  it('holds a prompt of two thousand words that repeat one, and finds it', () => {
    const index = indexOf('word '.repeat(2_000), long)
    expect(index.find(`Say ${'word '.repeat(13)}`)).toMatchObject({ id: '1' })
    expect(index.find(`Say ${'word '.repeat(12)}`)).toBeNull()
    expect(index.find(long)).toMatchObject({ id: '2' })
  })

  it('finds nothing without prompts, in an empty text, and for a prompt of signs alone', () => {
    expect(indexOf().find(long)).toBeNull()
    expect(indexOf(long).find('')).toBeNull()
    expect(indexOf('?!').find('?!')).toBeNull()
  })

  it('has the same hash for the same prompts in any order, and another one for any other prompt', () => {
    const prompts: BenchmarkPrompt[] = [long, 'Name a river.'].map((text, at) => ({
      benchmark: 'own',
      id: `${at}`,
      text,
    }))
    const { hash } = new BenchmarkIndex(prompts)
    expect(new BenchmarkIndex(prompts.toReversed()).hash).toBe(hash)
    expect(new BenchmarkIndex(prompts.slice(1)).hash).not.toBe(hash)
    expect(new BenchmarkIndex(prompts.map(prompt => ({ ...prompt, benchmark: 'other' }))).hash).not.toBe(hash)
  })

  it('is not fooled by a word of the text that no prompt has', () => {
    expect(indexOf(long).find(long.replaceAll(' ', ' zebra '))).toBeNull()
  })
})

describe.each(['the shared benchmarks', 'prompts in Japanese'])('%s', name => {
  const isShared = name === 'the shared benchmarks'
  const leftOut = isShared ? ' (left out where ../shared/data is not there)' : ''
  it.skipIf(isShared && !hasBenchmarks)(
    `are found in 99 of 100 plantings of each length class, with one false alarm in 1,000 made instructions at most${leftOut}`,
    async () => {
      const prompts = isShared ? [...readBenchmarks().values()].flat() : [...japanesePrompts]
      const index = new BenchmarkIndex(prompts)
      const made = (await standInInstructions(1_000)).map(({ text }) => text)
      const counts = findPlanted(index, prompts, made)
      expect(counts.size).toBeGreaterThanOrEqual(8)
      for (const [kind, { planted, found, elsewhere }] of counts) {
        expect(found / planted, kind).toBeGreaterThanOrEqual(0.99)
        expect(elsewhere, kind).toBe(0)
      }
      expect(made.filter(text => index.find(text)).length).toBeLessThanOrEqual(1)
    },
  )
})

describe('sets that share prompts', () => {
  it.skipIf(!hasBenchmarks)('are told by the index of one of them (left out where ../shared/data is not there)', () => {
    const sets = readBenchmarks()
    const counts: Record<string, number> = {}
    for (const [first, prompts] of sets) {
      const index = new BenchmarkIndex(prompts)
      for (const [second, others] of sets) {
        if (second <= first) continue
        const shared = sharedPrompts(prompts, others)
        if (shared.length > 0) counts[`${first} and ${second}`] = shared.length
        for (const { prompt, equals } of shared) {
          expect(equals.map(({ id }) => id)).toContain(index.find(prompt.text)?.id)
        }
      }
    }
    expect(counts).toEqual({ 'followbench and vicuna-bench': 5, 'mt-bench and vicuna-bench': 2 })
  })
})
