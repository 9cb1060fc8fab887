import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { ChatMessage, FinishReason, ModelReply, ModelRequest } from '../../operators/model.ts'
import type { Correction, RecordedModel } from '../../operators/operator.ts'
import { ask, correct, readReply } from '../../operators/reply.ts'
import { SituError } from '../../schemas/errors.ts'
import { Random } from '../../streams/models/stand-in/random.ts'
import { replyCases } from '../fixtures/replies/index.ts'
import { countTaken, outcomeOf, outcomeOfRegularExpression, replySchema as schema } from '../support/replies.ts'

const good = { thought: 'Compare both.', instruction: 'Work out what I pay over ten years.' }

function failureOf(call: () => unknown): SituError {
  try {
    call()
  } catch (error) {
    if (error instanceof SituError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('readReply', () => {
  for (const replyCase of replyCases) {
    const verb = typeof replyCase.wanted === 'string' ? `refuses as ${replyCase.wanted}` : 'takes'
    it(`${verb}: ${replyCase.title}`, () => expect(outcomeOf(replyCase)).toEqual(replyCase.wanted))
  }

  it('takes more of the table than one regular expression, and nothing wrong', () => {
    const ours = countTaken(replyCases, outcomeOf)
    const theirs = countTaken(replyCases, outcomeOfRegularExpression)
    const line = (name: string, { taken, usable, wrong }: typeof ours) =>
      `${name}: ${taken} of ${usable} usable replies taken, ${wrong} wrong accepts (${replyCases.length} replies)`
    console.info(`${line('readReply', ours)}\n${line('one regular expression', theirs)}`)
    expect(replyCases.length).toBeGreaterThanOrEqual(60)
    expect(ours).toEqual({ usable: ours.usable, taken: ours.usable, wrong: 0 })
    expect(theirs.taken).toBeLessThan(ours.taken)
  })

  it('never takes a beginning of a reply', () => {
    for (const { text, wanted, finishReason } of replyCases) {
      if (typeof wanted === 'string' || finishReason) continue
      for (let end = 0; end < text.length; end++) {
        const outcome = outcomeOf({ title: '', text: text.slice(0, end), wanted: 'cut' })
        // A beginning may hold the whole object, only without what stands after it.
        if (typeof outcome !== 'string')
          expect([wanted.instruction, 'Explain the rent.']).toContain(outcome.instruction)
      }
    }
  })

  it('takes no damaged reply for another one than it was', () => {
    const random = new Random(1)
    const values = [
      { thought: 'He said "pay now", and meant it.', instruction: 'Explain: "notice" {see 4.2}; what\'s due?\n1. tax' },
      {
        thought: 'Hard: \\frac{a}{b}',
        instruction: 'Turn {"a": [1, 2], "b": "x"} into YAML, prove \\(\\alpha < 1\\).',
      },
      { thought: 'No tricks.', instruction: 'A 27" screen, "28", a box: fit?\n\n```js\na = {b: "c"}\n```\nWhy?' },
    ]
    const forms = [
      (value: object) => JSON.stringify(value),
      (value: object) => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\`\nHope it helps.`,
      (value: object) => `Sure: ${JSON.stringify(value).replaceAll('\\n', '\n')}`,
      (value: object) => JSON.stringify(value).replaceAll('\\"', '"'),
    ]
    const size = (text: string) => text.replace(/[\s"'\\]/g, '').length
    const counts = { taken: 0, refused: 0, wrong: 0 }
    for (let round = 0; round < 6_000; round++) {
      const value = values[random.integer(values.length)] ?? good
      const text = forms[random.integer(forms.length)]?.(value) ?? ''
      const marks = [...text.matchAll(/["'{}[\],:\\\n`]/g)].map(({ index }) => index)
      const at = marks[random.integer(marks.length)] ?? 0
      const damaged = text.slice(0, at) + random.pick(['', '"', '}', ' ']) + text.slice(at + 1)
      const outcome = outcomeOf({ title: '', text: damaged, wanted: 'invalid' })
      if (typeof outcome === 'string') counts.refused++
      // A sign more or less inside a text can't be seen.
      else if (Math.abs(size(outcome.instruction) - size(value.instruction)) <= 2) counts.taken++
      else counts.wrong++
    }
    console.info(`damaged replies: ${JSON.stringify(counts)}`)
    expect(counts.wrong).toBe(0)
    expect(counts.taken).toBeGreaterThan(counts.refused)
  })

  it('keeps the raw reply as evidence', () => {
    const { evidence } = failureOf(() => readReply('No.', 'stop', schema))
    expect(evidence).toEqual({ kind: 'reply', content: 'No.' })
  })

  it.each([
    ['{"thought": "x y"}', '"instruction" is missing'],
    ['{"thought": "x y", "instruction": 3}', '"instruction": Invalid input: expected string, received number'],
    ['{"thought": "x y", "instruction": "string"}', '"instruction" holds a placeholder ("string")'],
    ['{"thought": "The instruction itself.", "instruction": "x y"}', '"thought" holds a placeholder'],
    ['{"thought": "Explain tides.", "instruction": "Explain tides."}', 'all fields hold the same text'],
    ['{"rating": 3}', 'its JSON has none of the fields thought, instruction'],
    ['Hello', 'it holds no JSON object'],
  ])('says what is wrong with %s', (text, problem) => {
    expect(failureOf(() => readReply(text, 'stop', schema)).message).toContain(problem)
  })

  it('takes "none" where one field of several says it', () => {
    const many = z.object({ user: z.string(), extraInformation: z.string(), output: z.string() })
    const text = '{"user": "A nurse", "extraInformation": "None", "output": "A plan"}'
    expect(readReply(text, 'stop', many).extraInformation).toBe('None')
    expect(() => readReply(text.replace('A plan', 'n/a'), 'stop', many)).toThrow('say nothing')
    expect(() => readReply(text.replaceAll(/None|A plan/g, 'A nurse'), 'stop', many)).toThrow('the same text')
  })

  it.each([
    ['braces', '{'.repeat(1_000_000)],
    ['brackets and braces', '[{'.repeat(500_000)],
    ['backticks', '`'.repeat(1_000_000)],
    ['fences', '```json\n'.repeat(125_000)],
    ['keys that open', '{"a":'.repeat(200_000)],
    ['braces and quotes', '{"'.repeat(500_000)],
    ['single-quoted objects with inch marks', `{'a': '27"', }`.repeat(70_000)],
    ['quotes and slashes', `{"thought": "${'"//'.repeat(330_000)}`],
    ['quotes and spaces', `{"thought": "${'" '.repeat(500_000)}`],
    ['opened brackets', `{"thought": ${'['.repeat(1_000_000)}`],
    ['strings without commas', `{"thought": [${'"a" '.repeat(250_000)}], }`],
    ['backslashes', `{"thought": "${'\\'.repeat(1_000_000)}`],
    ['white space', `{${' '.repeat(1_000_000)}`],
    ['nested objects', `${'{"a":'.repeat(2_000)}1${',}'.repeat(2_000)}`],
  ])('ends soon on a megabyte of %s', (_name, text) => {
    expect(failureOf(() => readReply(text, 'stop', schema)).code).toMatch(/^MODEL_REPLY_(?:INVALID|CUT)$/)
  })

  it('reads a whole reply of a megabyte, mended or not', () => {
    const instruction = 'Compare "a" with {b}. '.repeat(45_000).trim()
    const long = z.object({ thought: z.string(), instruction: z.string() })
    const text = JSON.stringify({ ...good, instruction })
    expect(readReply(text, 'stop', long).instruction).toBe(instruction)
    expect(readReply(`${text.slice(0, -1)},}`, 'stop', long).instruction).toBe(instruction)
  })
})

/** Answers with the given replies in turn and keeps what it was asked. */
class ScriptedModel implements RecordedModel {
  readonly kind = 'chat'
  readonly contextTokens = 8_192
  readonly replyTokens = 512
  readonly requests: { request: Pick<ModelRequest, 'messages' | 'replySchema'>; correction?: Correction }[] = []
  readonly #replies: (string | Error | [string, FinishReason])[]

  constructor(...replies: (string | Error | [string, FinishReason])[]) {
    this.#replies = replies
  }

  async complete(
    request: Pick<ModelRequest, 'messages' | 'replySchema'>,
    correction?: Correction,
  ): Promise<ModelReply> {
    this.requests.push(correction ? { request, correction } : { request })
    const reply = this.#replies.shift() ?? new Error('one call too many')
    if (reply instanceof Error) throw reply
    const [text, finishReason] = typeof reply === 'string' ? [reply, 'stop' as const] : reply
    return { text, finishReason, usage: null, model: 'scripted' }
  }
}

describe('ask', () => {
  const messages: ChatMessage[] = [
    { role: 'system', content: 'Write an instruction.' },
    { role: 'user', content: '<document>\nText\n</document>' },
  ]
  const asked = (model: ScriptedModel, signal = new AbortController().signal) =>
    ask({ model, signal }, messages, { name: 'instruction', schema })
  const failed = async (model: ScriptedModel): Promise<SituError> => {
    const error: unknown = await asked(model).catch((thrown: unknown) => thrown)
    if (error instanceof SituError) return error
    throw error
  }

  it('makes one call where the reply is right', async () => {
    const model = new ScriptedModel(JSON.stringify(good))
    expect(await asked(model)).toEqual(good)
    expect(model.requests).toHaveLength(1)
    expect(model.requests[0]?.correction).toBeUndefined()
  })

  it('sends a strict schema without lengths', async () => {
    const model = new ScriptedModel(JSON.stringify(good))
    await asked(model)
    expect(model.requests[0]?.request.replySchema).toEqual({
      name: 'instruction',
      schema: {
        type: 'object',
        properties: {
          thought: { type: 'string', description: 'What makes it hard.' },
          instruction: { type: 'string', description: 'The instruction itself.' },
        },
        required: ['thought', 'instruction'],
        additionalProperties: false,
      },
    })
  })

  it('makes one corrective turn that says what was wrong', async () => {
    const model = new ScriptedModel('{"thought": "x y"}', JSON.stringify(good))
    expect(await asked(model)).toEqual(good)
    const [, second] = model.requests
    expect(second?.request.messages.slice(0, 2)).toEqual(messages)
    expect(second?.request.messages[2]).toEqual({ role: 'assistant', content: '{"thought": "x y"}' })
    expect(second?.request.messages[3]?.content).toContain('"instruction" is missing')
    expect(second?.correction?.code).toBe('MODEL_REPLY_INVALID')
    expect(second?.correction && correct(messages, second.correction)).toEqual(second?.request.messages)
  })

  it('fails with the last raw reply after one corrective turn', async () => {
    const model = new ScriptedModel('First.', 'Second.')
    const error = await failed(model)
    expect(error.code).toBe('MODEL_REPLY_INVALID')
    expect(error.evidence).toEqual({ kind: 'reply', content: 'Second.' })
    expect(model.requests).toHaveLength(2)
  })

  it('makes one where the reply ends early before its limit', async () => {
    const model = new ScriptedModel('{"thought": "x', JSON.stringify(good))
    expect(await asked(model)).toEqual(good)
    expect(model.requests[1]?.correction?.code).toBe('MODEL_REPLY_CUT')
  })

  it.each([
    ['MODEL_REPLY_CUT', 'length', '{"thought": "x'],
    ['MODEL_CONTENT_FILTERED', 'content_filter', ''],
  ] as [string, FinishReason, string][])('makes none after %s (%s)', async (code, finishReason, text) => {
    const reply: [string, FinishReason] = [text, finishReason]
    const model = new ScriptedModel(reply)
    expect((await failed(model)).code).toBe(code)
    expect(model.requests).toHaveLength(1)
  })

  it('fails as cut where the corrected reply is cut', async () => {
    const model = new ScriptedModel('No.', ['{"thought": "x', 'length'])
    expect((await failed(model)).code).toBe('MODEL_REPLY_CUT')
  })

  it('sends at most 32 KB of the rejected reply back, ended at a whole character', async () => {
    const model = new ScriptedModel('😀'.repeat(20_000), JSON.stringify(good))
    await asked(model)
    expect(model.requests[1]?.correction?.rejectedReply).toBe('😀'.repeat(8_192))
  })

  it('sends no empty message', async () => {
    const model = new ScriptedModel('', JSON.stringify(good))
    expect(await asked(model)).toEqual(good)
    expect(model.requests[1]?.request.messages[2]).toEqual({ role: 'assistant', content: '(empty)' })
  })

  it('names the reply, not the length, where the corrective turn does not fit', async () => {
    const error = await failed(new ScriptedModel('No.', new SituError('MODEL_CONTEXT_EXCEEDED', 'too long')))
    expect(error.code).toBe('MODEL_REPLY_INVALID')
    expect(error.evidence?.content).toBe('No.')
  })

  it('throws what the corrective call throws', async () => {
    const error = await failed(new ScriptedModel('No.', new SituError('MODEL_RATE_LIMITED', 'slow down')))
    expect(error.code).toBe('MODEL_RATE_LIMITED')
  })

  it('makes no corrective turn once it is aborted', async () => {
    const model = new ScriptedModel('No.')
    await expect(asked(model, AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
    expect(model.requests).toHaveLength(1)
  })
})
