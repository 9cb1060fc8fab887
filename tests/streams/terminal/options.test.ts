import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { describeOption, type OptionSource, resolveOptions, unknownKeys } from '../../../streams/terminal/options.ts'

const table = {
  count: z.int().min(1).max(9).default(3).describe('How many.').meta({ unit: 'records' }),
  share: z.number().positive().optional(),
  isLoud: z.boolean().default(false),
  include: z.array(z.string().min(1)).default([]),
  sizes: z.array(z.int()).default([]),
  kind: z.enum(['a', 'b']).default('a'),
}

function sourceOf(label: string, values: Record<string, unknown>): OptionSource {
  return { label: ({ name }) => `${label} ${name}`, value: ({ name }) => values[name] }
}

function resolve(...sources: Record<string, unknown>[]) {
  const problems: string[] = []
  const labelled = sources.map((values, index) => sourceOf(`source ${index}`, values))
  return { values: resolveOptions(table, labelled, problems), problems }
}

describe('resolveOptions', () => {
  it('takes the first source that gives a value, else the default', () => {
    const { values, problems } = resolve({ count: '1' }, { count: 2, kind: 'b' })
    expect(values).toEqual({ count: 1, share: undefined, isLoud: false, include: [], sizes: [], kind: 'b' })
    expect(problems).toEqual([])
  })

  it('takes null for "not set": no later source is asked', () => {
    expect(resolve({ count: null }, { count: 5 }).values.count).toBe(3)
  })

  it('reads numbers out of text, and nothing that only begins like one', () => {
    for (const [text, value] of [
      ['7', 7],
      [' 7 ', 7],
      ['-0.5', null],
      ['7x', null],
      ['', null],
      ['0x7', null],
      ['NaN', null],
      ['Infinity', null],
    ] as const) {
      const { values, problems } = resolve({ count: text })
      expect([text, values.count]).toEqual([text, value ?? 3])
      expect(problems).toHaveLength(value === null ? 1 : 0)
    }
    expect(resolve({ share: '0.25' }).values.share).toBe(0.25)
  })

  it('reads true and false out of the usual words', () => {
    for (const word of ['true', '1', 'YES', 'on', true]) expect(resolve({ isLoud: word }).values.isLoud).toBe(true)
    for (const word of ['false', '0', 'No', 'off', '', false]) {
      expect(resolve({ isLoud: word }, { isLoud: true }).values.isLoud).toBe(false)
    }
    expect(resolve({ isLoud: 'perhaps' }).problems).toHaveLength(1)
  })

  it('reads a list out of one text with commas, as a variable has it, and leaves repeated flags whole', () => {
    expect(resolve({ include: '*.html,*.md' }).values.include).toEqual(['*.html', '*.md'])
    expect(resolve({ include: ['*.{html,md}', 'x'] }).values.include).toEqual(['*.{html,md}', 'x'])
    expect(resolve({ sizes: '1,2' }).values.sizes).toEqual([1, 2])
  })

  it('tells all problems at once, with the source, the value and what is allowed', () => {
    const { values, problems } = resolve({ count: '12', kind: 'c' }, { include: [''], isLoud: 3 })
    expect(problems).toHaveLength(4)
    expect(problems[0]).toMatch(/^source 0 count: .+, got "12" \(1 to 9; records; default 3\)$/)
    expect(problems).toContainEqual(expect.stringMatching(/^source 0 kind: .+, got "c" \(a \| b; default a\)$/))
    expect(problems).toContainEqual(expect.stringMatching(/^source 1 include\.0: /))
    expect(values).toMatchObject({ count: 3, kind: 'a' })
  })

  it('shows no more than the beginning of a value', () => {
    expect(resolve({ kind: 'x'.repeat(10_000) }).problems[0]?.length).toBeLessThan(400)
  })

  it('freezes the values', () => {
    expect(Object.isFrozen(resolve().values)).toBe(true)
  })
})

describe('describeOption', () => {
  it('names flag and variable, and tells default, range and unit', () => {
    expect(describeOption('maxRecordBytes', table.count)).toEqual({
      name: 'maxRecordBytes',
      flag: '--max-record-bytes',
      variable: 'SITU_MAX_RECORD_BYTES',
      type: 'number',
      repeatable: false,
      help: 'How many.',
      facts: '1 to 9; records; default 3',
    })
    expect(describeOption('sizes', table.sizes)).toMatchObject({ type: 'number', repeatable: true, facts: '' })
    expect(describeOption('share', table.share)).toMatchObject({ facts: 'more than 0' })
  })
})

describe('unknownKeys', () => {
  it('names the nearest, or all where none is near', () => {
    expect(unknownKeys('file', ['cuont', 'count'], ['count', 'kind'])).toEqual([
      'file: unknown key cuont: did you mean count?',
    ])
    expect(unknownKeys('file', ['zzzzzzz'], ['count', 'kind'])).toEqual([
      'file: unknown key zzzzzzz (there are: count, kind)',
    ])
  })
})
