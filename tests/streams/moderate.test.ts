import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../operators/model.ts'
import type { Moderated, Scored } from '../../schemas/records.ts'
import { bindStages } from '../../streams/bind.ts'
import { chooseStages, firstLine } from '../../streams/chain/main-line.ts'
import { readConfig } from '../../streams/config/config.ts'
import { fingerprintOf } from '../../streams/fake-model/arrived-call.ts'
import type { ChatRequest } from '../../streams/fake-model/behaviour.ts'
import { FakeProvider } from '../fake-provider.ts'
import { FakeModelProcess } from '../support/fake-model.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'

/** The stand-in and the fake endpoint take `[flag:…]` for harm. */
const rows = [
  'My neighbour parks on the ferry ramp. Which sign may I put up there, and whom do I have to ask before?',
  'Translate the notice about the tide tables into plain English for our members. [flag:hate] Keep each number.',
  'Explain to a newcomer why the lock at the old mill closes in March, with one example from a real boat. [flag:privacy]',
  'Write a checklist for the winter of a rowing boat, in the order of work. [flag:violence] End with one next step.',
  'Compare two ways to measure the depth of a pond without a boat, and say which errs more in high water.',
]

let folder: string
let data: string
let fake: FakeModelProcess

beforeAll(async () => {
  folder = temporaryFolder()
  fake = await FakeModelProcess.start(folder, {})
})
afterAll(async () => {
  await fake.stop()
  removeFolder(folder)
})

beforeEach(async () => {
  data = temporaryFolder()
  const file = join(data, 'rows.jsonl')
  writeFileSync(file, rows.map(text => `${JSON.stringify({ text })}\n`).join(''))
  await mustSitu(['ingest', file, '--as', 'instruction', '--data', data])
})
afterEach(() => removeFolder(data))

/** Flags of a configuration with the fake model, as a chat model and as a moderation model. */
function configured(operators: object, url = fake.url, omni: object = {}): string[] {
  const file = join(data, 'situ.config.yaml')
  const models = {
    judge: { baseUrl: url, model: 'judge' },
    omni: { baseUrl: url, model: 'omni-moderation-latest', kind: 'moderation', ...omni },
    guard: { baseUrl: url, model: 'llama-guard', kind: 'guard' },
  }
  writeFileSync(file, JSON.stringify({ models, operators }))
  return ['--config', file, '--data', data]
}

async function linesOf<T>(topic: string): Promise<{ topic: string; value: T & { id: string } }[]> {
  const { stdout } = await mustSitu(['tap', topic, '--data', data])
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

async function statusOf() {
  return JSON.parse((await mustSitu(['topics', '--json', '--verify', '--data', data])).stdout)
}

async function promptOf(id: string): Promise<ChatMessage[]> {
  return JSON.parse((await mustSitu(['trace', id, '--prompt', '--data', data])).stdout)
}

/** Rows by number, with the categories that they were flagged for. */
function flagsOf(records: { value: Pick<Moderated, 'text' | 'moderation'> }[]): Record<number, string[]> {
  return Object.fromEntries(
    records.map(({ value: { text, moderation } }) => [
      rows.indexOf(text),
      moderation.categories.filter(({ flagged }) => flagged).map(({ category }) => category),
    ]),
  )
}

describe('situ run with moderate', () => {
  it('labels and drops by a chat model, loses nothing, and pays no call twice', async () => {
    const before = fake.calls.length
    const flags = configured({ moderate: { model: 'judge', dropFor: ['hate', 'S1'] } })
    const words = ['run', 'dedupe-instruction', 'moderate', '--yes', ...flags]
    await mustSitu(words)
    const calls = fake.calls.slice(before)
    expect(calls.map(({ step }) => step)).toEqual(rows.map(() => 'moderation'))
    const moderated = await linesOf<Moderated>('moderated')
    expect(flagsOf(moderated)).toEqual({ 0: [], 2: ['privacy'], 3: [], 4: [] })
    const [dropped] = await linesOf<{ reason: string; detail: string; input: string }>('dropped')
    expect(dropped?.value).toMatchObject({ operator: 'moderate', reason: 'unsafe' })
    expect(dropped?.value.detail).toMatch(/^hate: It is about /)
    const { conservation, operators } = await statusOf()
    expect(conservation).toBe('ok')
    expect(operators.moderate).toMatchObject({ in: 5, done: 4, dropped: { unsafe: 1 } })

    // What was sent, as the server has logged it.
    for (const { value } of [...moderated, ...(dropped ? [dropped] : [])]) {
      const messages = await promptOf(value.id)
      const hash = createHash('sha256').update(JSON.stringify(messages)).digest('hex')
      expect(calls.map(call => call.messages)).toContain(hash)
    }
    const { stdout } = await mustSitu(['trace', moderated[0]?.value.id ?? '', '--json', '--data', data])
    expect(JSON.parse(stdout)).toMatchObject({
      record: {
        topic: 'moderated',
        provenance: { operator: 'moderate', endpoint: 'judge', input: { topic: 'deduped' } },
      },
      back: [{ topic: 'instruction' }, { topic: 'deduped' }],
    })

    await mustSitu(['replay', 'moderate', '--variant', 'again', '--yes', ...flags])
    expect(fake.calls).toHaveLength(before + rows.length)
    expect((await statusOf()).operators['moderate.again']).toMatchObject({ in: 5, done: 4, dropped: { unsafe: 1 } })
  })

  it('keeps the label through score, which reads what moderate let through', async () => {
    const flags = configured({ moderate: { dropFor: ['any'] }, score: { minimumScore: 0 } })
    await mustSitu(['run', 'dedupe-instruction', 'moderate', 'score', '--model', 'stand-in', ...flags])
    const scored = await linesOf<Scored>('scored')
    expect(flagsOf(scored as never)).toEqual({ 0: [], 3: [], 4: [] })
    for (const { value } of scored) {
      expect(value.input.topic).toBe('moderated')
      expect(value).toMatchObject({ moderating: { operator: 'moderate' }, scoring: { operator: 'score' } })
    }
    expect((await statusOf()).conservation).toBe('ok')
  })

  it('asks a moderation endpoint with the text alone, within a budget, and pays no call twice', async () => {
    const before = fake.calls.length
    const price = { input: 0, output: 0 }
    const flags = configured({ moderate: { model: 'omni', dropFor: ['hate'] } }, fake.url, { price })
    const words = ['run', 'dedupe-instruction', 'moderate', '--max-usd', '1', ...flags]
    await mustSitu(words)
    const calls = fake.calls.slice(before)
    expect(calls.map(({ step }) => step)).toEqual(rows.map(() => 'moderations'))
    const moderated = await linesOf<Moderated>('moderated')
    expect(flagsOf(moderated)).toEqual({ 0: [], 2: [], 3: ['violence'], 4: [] })
    for (const { value } of moderated) {
      expect(value.moderation.categories).toHaveLength(6)
      expect(value.moderating).toMatchObject({ prompt: null, model: 'omni-moderation-latest', costUsd: 0 })
      const [message, ...others] = await promptOf(value.id)
      expect(others).toEqual([])
      const request = { model: 'omni-moderation-latest', input: message?.content } as unknown as ChatRequest
      expect(calls.map(({ fingerprint }) => fingerprint)).toContain(fingerprintOf('moderations', request))
    }
    const { conservation, operators } = await statusOf()
    expect(conservation).toBe('ok')
    expect(operators.moderate).toMatchObject({ done: 4, dropped: { unsafe: 1 } })
    const stricter = configured({ moderate: { model: 'omni', threshold: 0 } }, fake.url, { price })
    await mustSitu(['replay', 'moderate', '--variant', 'strict', '--yes', ...stricter])
    expect(fake.calls).toHaveLength(before + rows.length)
    expect((await linesOf<Moderated>('moderated.strict')).every(({ value }) => value.moderation.flagged)).toBe(true)
  })

  it('says how to tell that a moderation endpoint is free where a run has a limit on money', async () => {
    const words = ['run', 'dedupe-instruction', 'moderate', '--max-usd', '1']
    const { code, stderr } = await situ([...words, ...configured({ moderate: { model: 'omni' } })])
    expect(code).toBe(2)
    expect(stderr).toContain('give models.omni.price (input: 0, output: 0 where it is free)')
  })

  it('ends before anything is kept for a category that the endpoint does not have', async () => {
    const flags = configured({ moderate: { model: 'omni', dropFor: ['violent-crimes'] } })
    const { code, stderr } = await situ(['run', 'dedupe-instruction', 'moderate', '--yes', ...flags])
    expect(code).toBe(2)
    expect(stderr).toContain("dropFor: violent-crimes is none of the judge's categories: harassment, hate")
    expect((await statusOf()).operators.moderate).toMatchObject({ in: 0, done: 0 })
  })
})

describe('situ run with a provider that answers otherwise', () => {
  let provider: FakeProvider
  afterEach(() => provider.close())

  it('makes dead letters of texts that the provider refuses, and goes on with the others', async () => {
    provider = await FakeProvider.start(({ input }) => {
      const body = { error: { message: 'Blocked by our content policy', code: 'content_filter' } }
      return String(input).includes('[flag:hate]') ? { kind: 'status', status: 400, body } : { kind: 'ok' }
    })
    const flags = configured({ moderate: { model: 'omni' } }, provider.url)
    await mustSitu(['run', 'dedupe-instruction', 'moderate', '--yes', ...flags])
    const { conservation, operators } = await statusOf()
    expect(conservation).toBe('ok')
    expect(operators.moderate).toMatchObject({ in: 5, done: 4 })
    const [failed, ...others] = await linesOf<{ code: string; operator: string }>('failed')
    expect(failed?.value).toMatchObject({ operator: 'moderate', code: 'MODEL_CONTENT_FILTERED' })
    expect(others).toEqual([])
  })

  it('takes what a guard says, asked with the text alone and no format', async () => {
    provider = await FakeProvider.start(({ messages }) => {
      return { kind: 'ok', text: messages[0]?.content.includes('[flag:hate]') ? '\n\nunsafe\nS10' : '\n\nsafe' }
    })
    const flags = configured({ moderate: { model: 'guard', dropFor: ['hate'] } }, provider.url)
    await mustSitu(['run', 'dedupe-instruction', 'moderate', '--yes', ...flags])
    const sent = provider.calls.map(({ request }) => request)
    const asked = rows.map(content => ({ model: 'llama-guard', messages: [{ role: 'user', content }] }))
    expect(sent).toEqual(expect.arrayContaining(asked))
    expect(sent).toHaveLength(rows.length)
    expect((await statusOf()).operators.moderate).toMatchObject({ done: 4, dropped: { unsafe: 1 } })
  })
})

describe('a model that takes no prompt', () => {
  function bind(operators: object, models: object, names: string[], words: string[] = []) {
    const file = join(data, 'bind.yaml')
    writeFileSync(file, JSON.stringify({ models, operators }))
    const { config, problems } = readConfig({ config: file }, {})
    expect(problems).toEqual([])
    return bindStages(chooseStages(firstLine(['moderate', 'score']), names), config, words)
  }
  const omni = { omni: { baseUrl: 'http://127.0.0.1:9/v1', model: 'omni', kind: 'moderation' } }

  it('is refused for an operator that asks by one', () => {
    expect(() => bind({ score: { model: 'omni' } }, omni, ['score'])).toThrow(
      'operators.score: model omni (omni) is of kind moderation, which takes no prompt, and score asks by a prompt',
    )
  })

  it('is refused together with a prompt that it would not be asked by', () => {
    const moderate = { model: 'omni' }
    expect(() => bind({ moderate }, omni, ['moderate'], ['moderate=mine.md'])).toThrow('so mine.md would not be used')
  })

  it('does not count a prompt among what its outputs depend on', () => {
    const [binding] = bind({ moderate: { model: 'omni' } }, omni, ['moderate'])
    expect(binding?.prompt).toBeNull()
    expect(JSON.parse(binding?.configurationText ?? '')).toMatchObject({ model: 'omni', prompt: null })
  })

  it('is refused as the stand-in of one of another kind', () => {
    const file = join(data, 'failover.yaml')
    const models = { ...omni, chat: { ...omni.omni, kind: 'chat', failover: 'omni' } }
    writeFileSync(file, JSON.stringify({ models }))
    expect(readConfig({ config: file }, {}).problems).toEqual([
      `${file}: models.chat.failover: omni is of kind moderation, not chat`,
    ])
  })
})
