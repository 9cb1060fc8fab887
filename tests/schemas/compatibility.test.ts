import { describe, expect, it } from 'vitest'
import { checkCompatible } from '../../schemas/compatibility.ts'
import { SituError } from '../../schemas/errors.ts'
import { schemas } from '../../schemas/records.ts'

function record(fields: unknown[]): string {
  return JSON.stringify({ type: 'record', name: 'tree', fields })
}

function messageFor(next: string, latest: string, level: 'BACKWARD' | 'FORWARD' | 'FULL'): string {
  try {
    checkCompatible('tree-value', level, next, latest)
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(SituError)
    return (error as SituError).message
  }
}

const name = { name: 'name', type: 'string' }
const branch = (fields: unknown[]) => ({ name: 'branch', type: { type: 'record', name: 'branch', fields } })

describe('checkCompatible', () => {
  it('takes each schema of ours after itself, at every level', () => {
    for (const [noun, schema] of Object.entries(schemas)) {
      const text = JSON.stringify(schema)
      checkCompatible(`${noun}-value`, 'FULL', text, text)
    }
  })

  it('names subject, level and the missing field', () => {
    const message = messageFor(record([name, { name: 'age', type: 'int' }]), record([name]), 'BACKWARD')
    expect(message).toBe(
      "subject tree-value, level BACKWARD: the new schema can't read the old: field age is missing and has no default",
    )
  })

  it('names the way to a field within a record, and its types', () => {
    const next = record([branch([{ name: 'leaves', type: 'string' }])])
    const message = messageFor(next, record([branch([{ name: 'leaves', type: 'int' }])]), 'BACKWARD')
    expect(message).toContain('field branch.leaves: ')
  })

  it('names both directions at level FULL', () => {
    const message = messageFor(record([name]), record([{ name: 'title', type: 'string' }]), 'FULL')
    expect(message).toContain("the new schema can't read the old: field name")
    expect(message).toContain("the old schema can't read the new: field title")
  })

  it('finds a field that was renamed by its alias', () => {
    const next = record([{ name: 'title', type: 'string', aliases: ['name'] }])
    expect(messageFor(next, record([name]), 'BACKWARD')).toBe('')
  })

  it('ends on a record that holds itself', () => {
    const tree = (type: string) =>
      record([
        { name: 'size', type },
        { name: 'next', type: ['null', 'tree'], default: null },
      ])
    expect(messageFor(tree('string'), tree('int'), 'BACKWARD')).toContain('field size: ')
  })
})
