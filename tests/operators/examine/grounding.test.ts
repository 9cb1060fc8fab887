import { describe, expect, it } from 'vitest'
import { groundingIn } from '../../../operators/examine/grounding.ts'
import { examine } from '../../../operators/examine.ts'
import { type Grounded, grounded, ungrounded } from '../../fixtures/examine/unspaced.ts'

const { minimumGroundedShare: least } = examine.options.parse({})

function shareOf(instruction: string, { title, text }: Pick<Grounded, 'title' | 'text'>): number {
  return groundingIn(instruction, `${title}\n${text}`).share ?? Number.NaN
}

/** Instructions that are about something else than the document, in its language. */
function foreignTo(document: Grounded): readonly string[] {
  const others = grounded.filter(other => other.language === document.language && other !== document)
  return [...ungrounded[document.language], ...others.flatMap(({ instructions }) => instructions)]
}

describe('grounding without spaces between words', () => {
  // By pairs of characters alone it was 16 of 25.
  it('finds nearly all instructions that grew out of their document', () => {
    const all = grounded.flatMap(document => document.instructions.map(instruction => shareOf(instruction, document)))
    expect(all).toHaveLength(25)
    expect(all.filter(share => share >= least).length).toBeGreaterThanOrEqual(24)
  })

  it.each(['zh', 'ja', 'th'] as const)('finds in %s hardly any that are about something else', language => {
    const documents = grounded.filter(document => document.language === language)
    const all = documents.flatMap(document => foreignTo(document).map(instruction => shareOf(instruction, document)))
    expect(all.length).toBeGreaterThan(0)
    expect(all.filter(share => share >= least).length / all.length).toBeLessThanOrEqual(0.07)
  })

  it('names what the document does not hold, in pieces that can be read', () => {
    const [document] = grounded
    const { missing } = groundingIn('我的网店首页加载要六秒，数据库查询占了一半。', document?.text ?? '')
    expect(missing.join(' ')).toContain('数据库查询')
  })

  it('tells nothing of a text that has hardly any words', () => {
    expect(groundingIn('请帮我说明一下。', grounded[0]?.text ?? '')).toEqual({ share: null, missing: [] })
  })
})
