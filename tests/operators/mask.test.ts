import { describe, expect, it } from 'vitest'
import { mask } from '../../operators/mask.ts'
import type { Context } from '../../operators/operator.ts'
import type { Document } from '../../schemas/records.ts'

const document: Document = {
  id: 'd',
  url: 'https://example.org/',
  title: 'T',
  text: 'Write to jane@corp.io or bob@corp.io, from 218.111.175.34.',
  language: 'en',
  source: 's',
  input: { id: 'a', topic: 'article', partition: 0, offset: 0 },
}

function apply(options: object) {
  const context = { options: mask.options.parse(options) }
  return mask.apply(document, context as Context<ReturnType<typeof mask.options.parse>>)
}

describe('mask', () => {
  const { id: _id, input: _input, ...rest } = document

  it('puts examples in the place of the data, and counts it by kind', async () => {
    const text = 'Write to email@example.com or email@example.com, from 192.0.2.1.'
    expect(await apply({})).toEqual([{ ...rest, text, pii: { email: 2, ip: 1 } }])
  })

  it('leaves the text as it is where it only labels', async () => {
    expect(await apply({ action: 'label', kinds: ['email'] })).toEqual([{ ...rest, pii: { email: 2 } }])
  })

  it('finds nothing in what it has written', async () => {
    const [masked] = (await apply({})) as { text: string }[]
    const again = { ...document, text: masked?.text ?? '' }
    const context = { options: mask.options.parse({}) } as Context<ReturnType<typeof mask.options.parse>>
    expect(await mask.apply(again, context)).toMatchObject([{ pii: {} }])
  })

  it.each([{ country: 'XX' }, { country: 'us' }, { kinds: ['name'] }])('refuses the option %j', options => {
    expect(mask.options.safeParse(options).success).toBe(false)
  })
})
