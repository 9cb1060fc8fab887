import { describe, expect, it } from 'vitest'
import { Template } from '../../operators/template.ts'

const template = new Template('{{a}} says {{json  b}} to {{ c }}{{a}}!')

describe('Template', () => {
  it('fills values as they are or as JSON, each place for itself', () => {
    expect(template.fill({ a: 'Ann', b: 'a "b"\n', c: '' })).toBe('Ann says "a \\"b\\"\\n" to Ann!')
  })

  it('leaves a place without a value as it stands in the text', () => {
    expect(template.fill({ c: 'x' })).toBe('{{a}} says {{json  b}} to x{{a}}!')
  })

  it('never searches what was filled in', () => {
    expect(template.fill({ a: '{{b}}', b: '{{c}}', c: '{{a}}' })).toBe('{{b}} says "{{c}}" to {{a}}{{b}}!')
    expect(template.with({ a: '{{c}}' }).fill({ b: '', c: 'x' })).toBe('{{c}} says "" to x{{c}}!')
  })

  it('is the same filled at once or bit by bit', () => {
    const values = { a: 'Ann', b: 'Bob', c: 'Cy' }
    const later = template.with({ b: 'Bob' })
    expect(later.placeholders.map(({ name }) => name)).toEqual(['a', 'c', 'a'])
    expect(later.with({ a: 'Ann' }).fill({ c: 'Cy' })).toBe(template.fill(values))
  })

  it('names its places in their order', () => {
    expect(template.placeholders).toEqual([
      { name: 'a', json: false, text: '{{a}}' },
      { name: 'b', json: true, text: '{{json  b}}' },
      { name: 'c', json: false, text: '{{ c }}' },
      { name: 'a', json: false, text: '{{a}}' },
    ])
  })
})
