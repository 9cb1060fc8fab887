import { describe, expect, it } from 'vitest'
import { type ExamineOptions, examine } from '../../operators/examine.ts'
import { type Context, Drop } from '../../operators/operator.ts'
import type { Checks, Instruction, Provenance } from '../../schemas/records.ts'
import { readLabels, scoreOf } from './examine/labelled.ts'
import { situation } from './fake-context.ts'

const source =
  'The ferry to Hven leaves the old harbour at nine each morning from April on. It carries 120 passengers and eleven ' +
  'cars. Skipper Maja Lund says that a storm from the west closes the harbour for about 14 days in a year. A ticket ' +
  'costs 85 crowns, and cyclists pay nothing for the bicycle. In winter the ice is broken twice a week.'

const excerpt = source.slice(0, source.indexOf(' A ticket'))

const good =
  'I run a bakery on Hven and get flour by the ferry, which a storm from the west stops on 14 days a year. Plan a store ' +
  'for the worst case, and compare its cost with that of a second harbour.'

const { user, motivation, scene, ability, knowledge, extraInformation, output } = situation
const record: Instruction = {
  id: 'i',
  text: good,
  thought: 'notes',
  language: null,
  source: null,
  document: { id: 'd', url: null, title: 'The ferry', language: 'en', text: source, tokens: 90 },
  situation: { id: 's', user, motivation, scene, ability, knowledge, extraInformation, output },
  provenance: { operator: 'instruct', version: 1, model: 'stand-in' } as Provenance,
}

async function outcomeOf(text: string, options: Partial<ExamineOptions> = {}, document = record.document) {
  const context = { id: 'i', options: examine.options.parse(options) } as Context<ExamineOptions>
  return examine.apply({ ...record, text, document }, context)
}

async function checksOf(text: string, options: Partial<ExamineOptions> = {}, document = record.document) {
  const outcome = await outcomeOf(text, options, document)
  if (outcome instanceof Drop || !outcome[0]) throw new Error('dropped')
  return outcome[0].checks
}

function failing(checks: Checks): string[] {
  return Object.entries(checks).flatMap(([name, { ok }]) => (ok ? [] : [name]))
}

describe('examine', () => {
  it('passes the whole instruction on with its checks', async () => {
    const { id: _id, ...fields } = record
    expect(await outcomeOf(good)).toEqual([
      {
        ...fields,
        checks: {
          selfContained: { ok: true, value: 0, evidence: null },
          grounded: { ok: true, value: expect.closeTo(0.5, 1), evidence: null },
          language: { ok: true, value: null, evidence: null },
          copying: { ok: true, value: 0, evidence: null },
          refusalOrMeta: { ok: true, value: null, evidence: null },
          complete: { ok: true, value: null, evidence: null },
          length: { ok: true, value: good.length, evidence: null },
        },
      },
    ])
  })

  it.each([
    ['selfContained', 'not_self_contained', 'According to the article, when does the ferry to Hven leave its harbour?'],
    [
      'grounded',
      'not_grounded',
      'Explain quantum entanglement and Bell inequalities to physics undergraduates at Cambridge.',
    ],
    [
      'language',
      'wrong_language',
      'Bitte plane für meine Bäckerei auf Hven einen Vorrat an Mehl für die Tage mit Sturm.',
    ],
    ['copying', 'copied', excerpt],
    ['refusalOrMeta', 'refusal_or_meta', `Here is the instruction: ${good}`],
    ['complete', 'incomplete', good.replace('a bakery', '[insert business]')],
    ['length', 'wrong_length', 'Ferry?'],
  ] as const)(
    'labels by default, and where asked for drops what fails as %s with the reason %s',
    async (name, reason, text) => {
      const checks = await checksOf(text)
      expect(failing(checks)).toEqual([name])
      expect(checks[name].evidence).toEqual(expect.any(String))
      const dropped = await outcomeOf(text, { dropFor: [reason] })
      expect(dropped).toMatchObject({
        reason,
        details: { detail: expect.stringContaining(checks[name].evidence ?? '') },
      })
      const others = examine.reasons.filter(other => other !== reason) as ExamineOptions['dropFor']
      expect(await outcomeOf(text, { dropFor: others })).toHaveLength(1)
    },
  )

  it.each([null, { ...record.document, text: '', language: null }])(
    'finds grounding and copying ok without a value where the document is %j',
    async document => {
      const checks = await checksOf(source, {}, document as Instruction['document'])
      expect(failing(checks)).toEqual([])
      expect(checks.grounded.value).toBeNull()
      expect(checks.copying.value).toBeNull()
    },
  )

  it('judges by the thresholds of its options', async () => {
    expect(failing(await checksOf(good, { minimumGroundedShare: 0.95 }))).toEqual(['grounded'])
    expect(failing(await checksOf(good, { minimumCharacters: 1_000 }))).toEqual(['length'])
    expect(failing(await checksOf(good, { maximumCharacters: 100 }))).toEqual(['length'])
    const half = `${excerpt} Work out how many passengers that are in a year, and show every step of it.`
    expect(failing(await checksOf(half))).toEqual([])
    expect(failing(await checksOf(half, { maximumCopiedShare: 0.5 }))).toEqual(['copying'])
  })

  it('tells how much was copied, and the longest run', async () => {
    const { copying } = await checksOf(
      `Translate into Danish: "A ticket costs 85 crowns, and cyclists pay nothing for the bicycle."`,
    )
    expect(copying.value).toBeCloseTo(12 / 15, 5)
    expect(copying.evidence).toBe('a ticket costs 85 crowns and cyclists pay nothing for the bicycle')
  })

  it.each([{ dropFor: ['boring'] }, { minimumGroundedShare: 2 }, { minimumCharacters: 0 }, { unknown: 1 }])(
    'refuses the options %j',
    options => {
      expect(examine.options.safeParse(options).success).toBe(false)
    },
  )
})

describe('labelled instructions', () => {
  // Set before the half set aside was looked at.
  it('finds most of the bad ones of the half set aside, and few others', async () => {
    const any = (await scoreOf(readLabels('aside'))).get('any')
    if (!any) throw new Error('no labels')
    expect(any.bad).toBe(50)
    expect(any.right / any.found).toBeGreaterThanOrEqual(0.85)
    expect(any.right / any.bad).toBeGreaterThanOrEqual(0.8)
  })

  it('shares no instruction between its halves', () => {
    const texts = new Set(readLabels('tune').map(({ text }) => text))
    expect(readLabels('aside').filter(({ text }) => texts.has(text))).toEqual([])
  })
})
