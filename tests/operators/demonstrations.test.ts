import { describe, expect, it } from 'vitest'
import { builtInSnapshot, createSnapshot, type Demonstration, parseSnapshot } from '../../operators/demonstrations.ts'
import { canonicalJson, hash } from '../../operators/hash.ts'
import { tokenizer } from './fake-context.ts'

const snapshot = builtInSnapshot()
const { demonstrations } = snapshot

/** Words of a text; signs of languages without spaces count as words. */
function words(text: string): string[] {
  return text.match(/[぀-ヿ一-鿿]|[^\s぀-ヿ一-鿿]+/gu) ?? []
}

function quotations(text: string): string[] {
  return [...text.matchAll(/(?:^|[\s(:])"([^"]{40,}?)"/g), ...text.matchAll(/「([^」]{15,})」/g)].map(
    match => match[1] ?? '',
  )
}

function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/['’]/g, "'")
}

const all = demonstrations.map(demonstration => [demonstration.domain, demonstration] as const)

describe('the built-in demonstrations', () => {
  it('are 24, each of a domain of its own', () => {
    expect(demonstrations).toHaveLength(24)
    expect(new Set(demonstrations.map(({ domain }) => domain)).size).toBe(24)
  })

  it('have ids that are hashes of their other fields', () => {
    for (const { id, ...fields } of demonstrations) expect(id).toBe(hash(canonicalJson(fields)))
    expect(new Set(demonstrations.map(({ id }) => id)).size).toBe(24)
  })

  it('begin their instructions with different words', () => {
    const openings = demonstrations.map(({ instruction }) => words(instruction).slice(0, 2).join(' ').toLowerCase())
    expect(new Set(openings).size).toBe(24)
    const first = demonstrations.map(({ instruction }) => words(instruction)[0]?.toLowerCase() ?? '')
    for (const word of first) expect(first.filter(one => one === word).length).toBeLessThanOrEqual(2)
  })

  it('differ in length: some instructions below 100 words, some above 250', () => {
    const lengths = demonstrations.map(({ instruction }) => words(instruction).length)
    expect(Math.min(...lengths)).toBeLessThan(100)
    expect(lengths.filter(length => length > 250).length).toBeGreaterThanOrEqual(3)
  })

  it('have more than one language', () => {
    const text = demonstrations.map(({ instruction }) => instruction).join('\n')
    expect(text).toMatch(/[ぁ-ん]/)
    expect(text).toMatch(/\bIch\b/)
    expect(text).toMatch(/¿/)
  })

  it.each(all)('keep their lengths: %s', (_, { document, instruction, thought, ...situation }) => {
    const tokens = tokenizer.count(document)
    expect(tokens).toBeGreaterThanOrEqual(150)
    expect(tokens).toBeLessThanOrEqual(350)
    expect(tokenizer.count(instruction)).toBeLessThanOrEqual(430)
    expect(words(thought).length).toBeLessThan(80)
    const { id, domain, ...fields } = situation
    const whole = [document, ...Object.values(fields), thought, instruction].join('\n')
    expect(tokenizer.count(whole)).toBeLessThanOrEqual(950)
    for (const field of Object.values(fields)) expect(field).not.toMatch(/\n/)
  })

  it('have a mean of at most 720 tokens', () => {
    const sum = demonstrations.reduce((total, { id, domain, ...fields }) => {
      return total + tokenizer.count(Object.values(fields).join('\n'))
    }, 0)
    expect(sum / demonstrations.length).toBeLessThanOrEqual(720)
  })

  it.each(all)('stand alone, without pointing at a text that is not there: %s', (_, { instruction }) => {
    expect(instruction).not.toMatch(
      /\b(?:the|this|that|given|attached|above|provided) (?:document|article|text|passage|excerpt|page)\b/i,
    )
    expect(instruction).not.toMatch(/\b(?:according to|based on|mentioned in|as described in) (?:the|this)\b/i)
    expect(instruction).not.toMatch(
      /\b(?:see|listed|shown|quoted) (?:above|below)\b|\b(?:search|google|look up|browse)\b/i,
    )
    expect(instruction).not.toMatch(
      /(?:obigen?|folgenden?) (?:Text|Artikel)|(?:el|del) (?:texto|artículo)|(?:上記|本文|記事)/i,
    )
  })

  it.each(all)('speak as a person, not in stock phrases: %s', (_, { instruction, user }) => {
    expect(instruction).not.toMatch(/^(?:as an? |i am an? |imagine|you are|given |can you|please)/i)
    expect(instruction).toMatch(/\b(?:I|I'm|me|my|us|our|we|ich|mir|mich|unser|nos|tengo)\b|いただ|ください/i)
    expect(user).not.toMatch(/wants? to learn|interested in/i)
  })

  it('quote word for word what they quote from the document', () => {
    const quoted = demonstrations.flatMap(demonstration => {
      const source = plain(demonstration.document)
      return quotations(demonstration.instruction).map(quotation => source.includes(plain(quotation)))
    })
    expect(quoted.length).toBeGreaterThan(15)
    // The poem is quoted with its line breaks as strokes.
    expect(quoted.filter(exact => !exact).length).toBeLessThanOrEqual(1)
  })

  it('use figures of the document, so that whoever reads the instruction alone has them', () => {
    const numbers = (text: string) => new Set(text.match(/\d+(?:[.,:]\d+)*/g) ?? [])
    for (const { domain, document, instruction } of demonstrations) {
      const there = numbers(document)
      if (there.size < 5) continue
      const carried = [...there].filter(number => numbers(instruction).has(number))
      expect(carried.length / there.size, domain).toBeGreaterThanOrEqual(0.2)
    }
  })
})

describe('a draw', () => {
  it('depends on the record and the snapshot alone', () => {
    const again = parseSnapshot(snapshot.text)
    expect(again.draw('record-1', 10)).toEqual(snapshot.draw('record-1', 10))
    expect(snapshot.draw('record-2', 10)).not.toEqual(snapshot.draw('record-1', 10))
    const other = createSnapshot(demonstrations.slice(1))
    expect(other.draw('record-1', 10)).not.toEqual(snapshot.draw('record-1', 10))
  })

  it('begins alike whatever the count', () => {
    expect(snapshot.draw('record-1', 3)).toEqual(snapshot.draw('record-1', 10).slice(0, 3))
  })

  it('gives each at most once, and all where more are asked for', () => {
    const drawn = snapshot.draw('record-1', 100)
    expect(new Set(drawn.map(({ id }) => id)).size).toBe(24)
    expect(snapshot.draw('record-1', 0)).toEqual([])
    expect(createSnapshot([]).draw('record-1', 10)).toEqual([])
  })

  it('is uniform over demonstrations and places', () => {
    const draws = 4800
    const counts = new Map<string, number>()
    for (let index = 0; index < draws; index += 1) {
      snapshot.draw(`record-${index}`, 4).forEach(({ id }, place) => {
        counts.set(`${id}/${place}`, (counts.get(`${id}/${place}`) ?? 0) + 1)
      })
    }
    const expected = draws / 24
    const cells = demonstrations.flatMap(({ id }) => [0, 1, 2, 3].map(place => counts.get(`${id}/${place}`) ?? 0))
    const chiSquare = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // 92 degrees of freedom: above 150 in fewer than one of ten thousand fair draws.
    expect(chiSquare).toBeLessThan(150)
  })
})

describe('a snapshot', () => {
  const [first, second] = demonstrations as [Demonstration, Demonstration]

  it('is named by the hash of its text, from which it can be read again', () => {
    expect(snapshot.hash).toBe(hash(snapshot.text))
    expect(parseSnapshot(snapshot.text)).toEqual(snapshot)
    expect(createSnapshot(demonstrations).hash).toBe(snapshot.hash)
  })

  it('makes the ids of an edited file again', () => {
    const edited = parseSnapshot(JSON.stringify([{ ...first, domain: 'other' }, second]))
    expect(edited.demonstrations[0]?.id).not.toBe(first.id)
    expect(edited.demonstrations[1]?.id).toBe(second.id)
  })

  it.each([
    ['no JSON', '[{', /mine\.json: no JSON/],
    ['no list', '{}', /mine\.json: the whole /],
    ['a missing field', JSON.stringify([{ ...first, scene: undefined }]), /\[0\]\.scene /],
    ['an empty field', JSON.stringify([first, { ...second, scene: ' ' }]), /\[1\]\.scene is empty/],
    ['an unknown field', JSON.stringify([{ ...first, situation: 'x' }]), /\[0\] .*situation/],
    ['a repeat', JSON.stringify([first, second, first]), /\[2\] is the same as \[0\]/],
  ])('with %s is refused', (_, content, message) => {
    expect(() => parseSnapshot(content, 'mine.json')).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(message) }),
    )
  })
})
