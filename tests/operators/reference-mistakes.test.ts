import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { attributionReply } from '../../operators/attribute.ts'
import { compose, promptOptions } from '../../operators/composition.ts'
import { conceptReply } from '../../operators/conceive.ts'
import { type Demonstration, toDemonstration } from '../../operators/demonstrations.ts'
import { examineText } from '../../operators/examine.ts'
import { type OperatorName, operators } from '../../operators/index.ts'
import { instructionReply } from '../../operators/instruct.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import { judgementReply } from '../../operators/moderate/answers.ts'
import { hazards } from '../../operators/moderate/hazards.ts'
import { readReply } from '../../operators/reply.ts'
import { choiceReply } from '../../operators/retrieve.ts'
import { scoresReply } from '../../operators/score.ts'
import { situationReply } from '../../operators/situate.ts'
import { writtenReply } from '../../operators/write.ts'
import { type Counters, schemas } from '../../schemas/records.ts'
import { bindStages } from '../../streams/bind.ts'
import { chooseStages, firstLine } from '../../streams/chain/main-line.ts'
import { anyOperator } from '../../streams/chain/topology.ts'
import { readConfig } from '../../streams/config/config.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import { Run } from '../../streams/run.ts'
import { realInstructions } from '../fixtures/real-instructions.ts'
import { madeDemonstration } from '../support/demonstrations.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'
import { outcomeOfRegularExpression } from '../support/replies.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'
import { workWholeLine, writeRealInstructions } from '../support/whole-line.ts'
import { builtInPrompt, fields, snapshot, tokenizer } from './fake-context.ts'

const drawing = Object.values(anyOperator).filter(operator => operator.demonstrations)

/** The reply of each model operator. */
const replies: Readonly<Partial<Record<OperatorName, z.ZodType>>> = {
  situate: situationReply,
  instruct: instructionReply,
  write: writtenReply,
  'write-plain': instructionReply,
  score: scoresReply,
  'score-real': scoresReply,
  moderate: judgementReply(hazards),
  conceive: conceptReply,
  retrieve: choiceReply(3),
  attribute: attributionReply,
}

const asking = Object.values(anyOperator).filter(({ prompt }) => prompt)
const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

/** The stand-in, counting; where its reply is to be spoilt, what it says instead is no JSON. */
class CountingModel extends StandIn implements Model {
  readonly calls: string[] = []
  readonly isSpoilt: (asked: string, step: string, before: number) => boolean

  constructor(isSpoilt: CountingModel['isSpoilt'] = () => false) {
    super()
    this.isSpoilt = isSpoilt
  }

  override async complete(request: ModelRequest): Promise<ModelReply> {
    const [, asked] = request.messages
    const call = `${request.replySchema.name} ${asked?.content}`
    const before = this.calls.filter(one => one === call).length
    this.calls.push(call)
    const reply = await super.complete(request)
    return this.isSpoilt(asked?.content ?? '', request.replySchema.name, before)
      ? { ...reply, text: 'I would rather not.' }
      : reply
  }
}

/** Three instructions of people, and a document for each that has its words. */
async function fullPipeline() {
  const pipeline = await memoryPipeline()
  const texts = realInstructions.slice(2, 5).map(({ text }) => text)
  const pages = texts.map((text, at) => `${lighthouse(at + 1)}\n\n${text}`)
  await writeArticles(pipeline, pages)
  await writeRealInstructions(pipeline, texts)
  return pipeline
}

/** Calls of each model step, and its inputs that made one. */
function callsOf(counters: Record<string, Counters>): [name: string, calls: number, inputs: number][] {
  return asking.flatMap(({ name }) => {
    const [spent] = counters[name]?.spent ?? []
    return spent ? [[name, spent.calls, spent.inputs] as [string, number, number]] : []
  })
}

describe('mistakes of the reference code', () => {
  it('1: the retry loop does not stop on success, three paid calls an item; here a right reply is the last call', async () => {
    for (const [firstReply, callsAnItem] of [
      ['right', 1],
      ['wrong', 2],
    ] as const) {
      const model = new CountingModel((_asked, _step, before) => firstReply === 'wrong' && before === 0)
      const counters = await workWholeLine(await fullPipeline(), model, folder)
      const steps = callsOf(counters)
      expect(steps.map(([name]) => name).sort()).toEqual([
        'attribute',
        'conceive',
        'instruct',
        'moderate',
        'retrieve',
        'score',
        'score-real',
        'situate',
      ])
      for (const [name, calls, inputs] of steps) {
        expect(inputs).toBeGreaterThanOrEqual(3)
        expect([name, calls]).toEqual([name, callsAnItem * inputs])
      }
      const all = steps.reduce((sum, [, calls]) => sum + calls, 0)
      expect(model.calls).toHaveLength(all)
    }
  })

  it('2: one regular expression, in which the dot ends with the line, reads the replies; here no form of JSON is lost', async () => {
    expect(Object.keys(replies).sort()).toEqual(asking.map(({ name }) => name).sort())
    const standIn = new StandIn()
    for (const [name, schema] of Object.entries(replies)) {
      const json = jsonOf(schema)
      const replySchema = { name: schemaNames[name as OperatorName] ?? '', schema: json }
      const messages = [{ role: 'user' as const, content: `<document>\n${lighthouse(1)}\n</document>` }]
      const { text } = await standIn.complete({
        messages,
        replySchema,
        sample: 0,
        signal: new AbortController().signal,
      })
      const pretty = JSON.stringify(JSON.parse(text), null, 2)
      const forms = [
        text,
        pretty,
        `\`\`\`json\n${pretty}\n\`\`\``,
        `\`\`\`\n${pretty}\n\`\`\``,
        `Here it is:\n${pretty}`,
      ]
      const wanted = schema.parse(JSON.parse(text))
      for (const form of forms) {
        expect(readReply(form, 'stop', schema)).toEqual(wanted)
        expect(outcomeOfRegularExpression({ title: '', text: form, wanted: 'invalid' })).toBeNull()
      }
    }
  })

  it('2: the sample in its prompt lacks a comma; here every sample and worked example is what the reader takes', () => {
    for (const operator of asking) {
      const schema = replies[operator.name as OperatorName]
      if (!schema) throw new Error(`no reply schema of ${operator.name}`)
      const prompt = builtInPrompt(operator)
      const system = prompt.fill({})[0]?.content ?? ''
      const shown = prompt.usesDemonstrations ? snapshot.demonstrations.map(one => prompt.demonstrate(one, 1)) : []
      const [sample = '', ...examples] = [system, ...shown]
        .flatMap(text => text.split('\n'))
        .filter((line, at, lines) => line.startsWith('{') && lines[at - 1] !== 'Situation:')
      expect(Object.keys(JSON.parse(sample))).toEqual(Object.keys(jsonOf(schema).properties ?? {}))
      // Repeated as it stands it is no answer.
      expect(() => readReply(sample, 'stop', schema)).toThrow("the reply can't be used")
      for (const example of examples) {
        expect(JSON.parse(example)).toBeTruthy()
        expect(readReply(example, 'stop', schema)).toBeTruthy()
      }
    }
  })

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

  it('5: failed items vanish, and a resume scans lists of ids; here each is kept with its reply, and a run goes on', async () => {
    const pipeline = await fullPipeline()
    const isSpoilt = (asked: string, step: string) => step === 'instruction' && asked.includes('Lighthouse 2')
    const model = new CountingModel(isSpoilt)
    const { instruct } = await workWholeLine(pipeline, model, folder)
    expect(instruct).toMatchObject({ in: 3, done: 2, failed: { MODEL_REPLY_INVALID: 1 } })
    const [letter, ...others] = await readRecords(pipeline, 'failed')
    expect(others).toEqual([])
    expect(letter).toMatchObject({ operator: 'instruct', evidence: { kind: 'reply', text: 'I would rather not.' } })
    const situations = await readRecords(pipeline, 'situation')
    expect(situations.map(({ id }) => id)).toContain(letter?.input)
    const asked = model.calls.length
    const again = await workWholeLine(pipeline, model, folder)
    expect(model.calls).toHaveLength(asked)
    expect(again.instruct).toMatchObject({ in: 3, done: 2, failed: { MODEL_REPLY_INVALID: 1 } })
    await writeArticles(pipeline, [lighthouse(4)])
    await workWholeLine(pipeline, model, folder)
    expect(model.calls.slice(asked).filter(call => !call.includes('Lighthouse 4'))).toEqual([])
    expect(model.calls).toHaveLength(asked + 4)
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

  it('7: a showcased instruction asks what a named package holds and quotes none of it; here that is found, and none shown does it', async () => {
    const offers = 'Kestrel Freight offers the Harbour package: customs clearance and two pallets a month for 480 euro.'
    const document = { text: offers, title: null, language: 'en' }
    const options = operators.examine.options.parse({})
    const showcased =
      "I ship two pallets a month. What does Kestrel Freight's Harbour package include, and is it worth it?"
    const carried = `${showcased} This is what their page says: "${offers}"`
    for (const [text, ok] of [
      [showcased, false],
      [carried, true],
      ['According to the document above, what does the package include?', false],
    ] as const) {
      expect([text, (await examineText(text, document, options)).selfContained.ok]).toEqual([text, ok])
    }
    for (const { id, instruction, document: text } of snapshot.demonstrations) {
      const { selfContained } = await examineText(instruction, { text, title: null, language: null }, options)
      expect([id, selfContained.evidence]).toEqual([id, null])
    }
  })
})

async function deduped() {
  const { config } = readConfig({ model: 'stand-in' }, {})
  const pipeline = await memoryPipeline()
  await writeArticles(pipeline, [1, 2, 3].map(lighthouse))
  const chosen = chooseStages(firstLine([]), ['dedupe-document', 'situate', 'instruct', 'dedupe-instruction'])
  await new Run(pipeline, { ...defaults, bindings: bindStages(chosen, config) }, silent).work()
  return readRecords(pipeline, 'deduped')
}

function jsonOf(schema: z.ZodType): { properties?: object } & Record<string, unknown> {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
}

function lighthouse(number: number): string {
  return `Lighthouse ${number}. The keeper of year ${number} counted ${number * 37} ships. `.repeat(6)
}

/** Names under which the replies are asked for. */
const schemaNames: Readonly<Partial<Record<OperatorName, string>>> = {
  situate: 'situation',
  instruct: 'instruction',
  write: 'written',
  'write-plain': 'instruction',
  score: 'scores',
  moderate: 'moderation',
  'score-real': 'scores',
  conceive: 'concept',
  retrieve: 'choice',
  attribute: 'attribution',
}
