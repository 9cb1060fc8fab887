import { describe, expect, it } from 'vitest'
import { compose, promptOptions } from '../../operators/composition.ts'
import { type Demonstration, toDemonstration } from '../../operators/demonstrations.ts'
import { type OperatorName, operators } from '../../operators/index.ts'
import type { Operator } from '../../operators/operator.ts'
import { schemas } from '../../schemas/records.ts'
import { bindStages } from '../../streams/bind.ts'
import { readConfig } from '../../streams/config.ts'
import { chooseStages, firstLine } from '../../streams/main-line.ts'
import { Run } from '../../streams/run.ts'
import { madeDemonstration } from '../support/demonstrations.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'
import { builtInPrompt, fields, snapshot, tokenizer } from './fake-context.ts'

const drawing = Object.values(operators as unknown as Record<OperatorName, Operator>).filter(
  operator => operator.demonstrations,
)

describe('mistakes of the reference code', () => {
  it('3: the limit is checked in tokens and cut in characters; here both are tokens, in whatever script', () => {
    const options = { ...promptOptions.parse({}), maxDocumentTokens: 200, maxDemonstrationDocumentTokens: 100 }
    const prompt = builtInPrompt(operators.situate)
    const values = { title: 'A title', url: '', language: '', ...fields }
    for (const sentence of [
      'The ferry lay still. ',
      '渡し船は九週間も動かなかった。',
      'Паром стоял девять недель. ',
      '🛶🛶🛶. ',
    ]) {
      const long = sentence.repeat(400)
      const demonstrations = [{ ...(snapshot.demonstrations[0] as Demonstration), document: long }]
      const { document, messages } = compose({ document: long, values }, { prompt, options, tokenizer, demonstrations })
      expect(tokenizer.count(document.text)).toBe(document.tokens)
      expect(document.tokens).toBeLessThanOrEqual(200)
      expect(document.tokens).toBeGreaterThan(150)
      const asked = messages[1]?.content ?? ''
      const shown = asked.slice(asked.indexOf('<document>\n') + 11, asked.indexOf('\n</document>'))
      expect(tokenizer.count(shown)).toBeLessThanOrEqual(100)
      expect(tokenizer.count(shown)).toBeGreaterThan(60)
    }
  })

  it('4: what a prompt reads from a demonstration is not what grounding writes; here every prompt reads its fields', () => {
    const record = madeDemonstration(1)
    const demonstration = toDemonstration(record)
    if (!demonstration) throw new Error('the record holds no demonstration')
    const written = (schemas.demonstration as { fields: { name: string }[] }).fields.map(({ name }) => name)
    const read = new Set<string>()
    expect(drawing.length).toBeGreaterThan(1)
    for (const operator of drawing) {
      const prompt = builtInPrompt(operator)
      const shown = prompt.demonstrate(demonstration, 1)
      expect(shown).not.toMatch(/\{\{|undefined|null/)
      for (const [name, value] of Object.entries(demonstration)) {
        if (!shown.includes(value) && !shown.includes(JSON.stringify(value))) continue
        expect(written).toContain(name)
        read.add(name)
      }
    }
    const unread = Object.keys(demonstration).filter(name => !read.has(name))
    expect(unread.sort()).toEqual(['domain', 'id'])
  })

  it('6: draws are unseeded and unrecorded, the document and the thought are lost; here the last record has all', async () => {
    const results = await Promise.all([1, 2].map(() => deduped()))
    const [first, second] = results
    expect(first).toHaveLength(3)
    expect(first?.map(({ id }) => id).sort()).toEqual(second?.map(({ id }) => id).sort())
    for (const { provenance, document, thought, situation } of first ?? []) {
      const { seed = '', demonstrations = [], snapshot: hash } = provenance ?? {}
      expect(hash).toBe(snapshot.hash)
      expect(demonstrations).toEqual(snapshot.draw(seed, demonstrations.length).map(({ id }) => id))
      expect(demonstrations.length).toBeGreaterThanOrEqual(5)
      expect(document?.id).toBeTruthy()
      expect(situation?.id).toBeTruthy()
      expect(thought).not.toBe('')
    }
  })
})

async function deduped() {
  const { config } = readConfig({ model: 'stand-in' }, {})
  const pipeline = await memoryPipeline()
  await writeArticles(
    pipeline,
    [1, 2, 3].map(number =>
      `Lighthouse ${number}. The keeper of year ${number} counted ${number * 37} ships. `.repeat(6),
    ),
  )
  const chosen = chooseStages(firstLine([]), ['dedupe-document', 'situate', 'instruct', 'dedupe-instruction'])
  await new Run(pipeline, { ...defaults, bindings: bindStages(chosen, config) }, silent).work()
  return readRecords(pipeline, 'deduped')
}
