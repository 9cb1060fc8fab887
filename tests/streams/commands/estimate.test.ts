import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkScript } from '../../../streams/fake-model/script.ts'
import { ScriptedModel } from '../../../streams/fake-model/scripted-model.ts'
import { generateDocuments, readDocuments, sentencesOf } from '../../support/documents.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
let data: string
let fake: ScriptedModel
let flags: string[]
const documents = 12

beforeAll(async () => {
  folder = temporaryFolder()
  data = join(folder, 'data')
  fake = await ScriptedModel.start({ script: checkScript({ tokenizer: 'o200k' }, 'script'), seed: 1 })
  const config = join(folder, 'situ.config.yaml')
  const model = { baseUrl: fake.url, model: 'fake-model', price: { input: 1, output: 4 } }
  writeFileSync(config, JSON.stringify({ models: { fake: model, free: { ...model, price: undefined } } }))
  flags = ['--config', config, '--data', data]
  const made = generateDocuments(documents, sentencesOf(readDocuments(50)), 5)
  // One is there twice: the chain drops it before any model sees it.
  const texts = [...made, { ...made[0], url: 'https://example.org/again' }]
  writeFileSync(join(folder, 'texts.jsonl'), texts.map(text => `${JSON.stringify(text)}\n`).join(''))
  await mustSitu(['ingest', join(folder, 'texts.jsonl'), '--as', 'article', ...flags])
}, 60_000)

afterAll(async () => {
  await fake.close()
  removeFolder(folder)
})

const estimate = async (...words: string[]) =>
  JSON.parse((await mustSitu(['estimate', '--model', 'fake', '--json', ...words, ...flags])).stdout)

describe('before anything is paid', () => {
  it('situ run shows its forecast and ends with 2 without a terminal; nothing is done', async () => {
    const { code, stdout, stderr } = await situ(['run', '--model', 'fake', ...flags], { input: '' })
    expect([code, stdout, fake.counts.calls]).toEqual([2, '', 0])
    for (const part of ['--yes', '--max-usd', 'USAGE', 'situate', 'at most $']) expect(stderr).toContain(part)
    const { operators } = JSON.parse((await mustSitu(['topics', '--json', ...flags])).stdout)
    expect(operators['dedupe-document']?.in).toBe(0)
  })

  it('an operator without a model runs without a question', async () => {
    await mustSitu(['run', 'dedupe-document', '--model', 'fake', ...flags])
  })

  it('situ estimate asks before its sample, and names --yes without a terminal', async () => {
    const { code, stderr } = await situ(['estimate', '--model', 'fake', ...flags], { input: '' })
    expect([code, fake.counts.calls]).toEqual([2, 0])
    expect(stderr).toContain('--yes')
  })

  it('counts prompts without a call, and has limits for what it can not know', async () => {
    const { method, stages, total, time } = await estimate('--no-call')
    expect([method, fake.counts.calls]).toEqual(['no-call', 0])
    expect(stages.situate.inputs.value).toBe(documents)
    expect(stages.situate.cost.promptTokens.value).toBeGreaterThan(documents * 1_000)
    expect(stages.instruct.cost.promptTokens).toMatchObject({ value: null, high: documents * 7_500 })
    expect([total.usd.value, time.seconds.value]).toEqual([null, null])
  })
})

describe('a sample', () => {
  it('of everything tells what the run then takes, to the token; the run pays nothing of it again', async () => {
    const told = await estimate('--yes')
    const paid = fake.counts
    expect([told.sampled, told.paid.calls, told.total.calls.value]).toEqual([documents, 2 * documents, 2 * documents])
    expect(told.total.promptTokens.value).toBe(paid.promptTokens)
    expect(told.total.completionTokens.value).toBe(paid.completionTokens)
    expect(told.total.usd.value).toBeCloseTo((paid.promptTokens + 4 * paid.completionTokens) / 1e6, 9)
    expect(told.total.usd).toMatchObject({ low: told.total.usd.value, high: told.total.usd.value })
    const { stdout } = await mustSitu(['run', '--yes', '--json', '--model', 'fake', ...flags])
    expect(fake.counts.calls).toBe(2 * documents)
    const { operators } = JSON.parse(stdout)
    expect(told.rows.value).toBe(operators['dedupe-instruction'].out)
    expect(told.stages.instruct.inputs.value).toBe(operators.instruct.in)
  })

  it('finds nothing to pay where nothing waits', async () => {
    const { total, rows, time } = await estimate('--yes')
    expect([total.calls.value, total.usd.value, rows.value, time.seconds.value]).toEqual([0, 0, 0, 0])
    expect((await situ(['run', '--model', 'fake', ...flags])).code).toBe(0)
  })
})

describe('with more that waits', () => {
  const more = 30
  beforeAll(async () => {
    const texts = generateDocuments(more, sentencesOf(readDocuments(50)), 6)
    writeFileSync(join(folder, 'more.jsonl'), texts.map(text => `${JSON.stringify(text)}\n`).join(''))
    await mustSitu(['ingest', join(folder, 'more.jsonl'), '--as', 'article', ...flags])
  })

  it('draws the same inputs for the same seed, and others for another one', async () => {
    const first = await estimate('--yes', '--sample', '5', '--seed', '1')
    const again = await estimate('--yes', '--sample', '5', '--seed', '1')
    expect([again.paid.calls, again.total]).toEqual([0, first.total])
    const other = await estimate('--yes', '--sample', '5', '--seed', '2')
    expect(other.paid.calls).toBeGreaterThan(0)
    const { low, value, high } = first.total.usd
    expect(low < value && value < high).toBe(true)
  })

  it('takes reply lengths from the log without a call', async () => {
    const before = fake.counts.calls
    const { total, stages, time } = await estimate('--no-call')
    expect(fake.counts.calls).toBe(before)
    const { low, value, high } = total.completionTokens
    expect(low < value && value < high).toBe(true)
    expect(stages.situate.inputs.value).toBe(more)
    expect([total.usd.value > 0, time.seconds.value > 0]).toEqual([true, true])
  })

  it('says that a price is not known, and takes no money for none', async () => {
    const words = ['estimate', '--no-call', '--model', 'free', ...flags]
    expect((await mustSitu(words)).stdout).toMatch(/unknown[\s\S]*the price of fake-model is not known/)
  })

  it('keeps to a limit on spending, with 3', async () => {
    const { code, stderr } = await situ([
      'estimate',
      '--yes',
      '--seed',
      '9',
      '--max-calls',
      '1',
      '--model',
      'fake',
      ...flags,
    ])
    expect([code, stderr]).toEqual([3, expect.stringContaining('BUDGET_SPENT')])
  })

  it('counts only as many inputs as the run is to take', async () => {
    const { stages } = await estimate('--no-call', '--limit', '4')
    expect([stages['dedupe-document'].inputs.value, stages.situate.inputs.value]).toEqual([4, 4])
  })
})

describe('a first replay', () => {
  it('asks as a run does, and makes no variant before the answer', async () => {
    const other = join(folder, 'replayed')
    const own = [...flags.slice(0, 2), '--data', other]
    await mustSitu(['ingest', join(folder, 'texts.jsonl'), '--as', 'article', ...own])
    await mustSitu(['run', 'dedupe-document', ...own])
    const words = ['replay', 'situate', '--variant', 'big', '--through', 'dedupe-instruction', '--model', 'fake']
    const config = join(folder, 'all.yaml')
    const model = { baseUrl: fake.url, model: 'fake-model' }
    writeFileSync(config, JSON.stringify({ model: 'fake', models: { fake: model } }))
    const replay = (...more: string[]) =>
      situ([...words, '--limit', '3', '--config', config, '--data', other, ...more], { input: '' })
    const { code, stderr } = await replay()
    expect([code, stderr]).toEqual([2, expect.stringMatching(/situate +3 [\s\S]*--yes/)])
    expect((await mustSitu(['variants', ...own])).stdout).not.toContain('big')
    expect((await replay('--yes')).code).toBe(0)
    expect((await mustSitu(['variants', ...own])).stdout).toContain('big')
  })
})

describe('a limit on spending', () => {
  it('takes the place of the question', async () => {
    const other = join(folder, 'limited')
    const own = [...flags.slice(0, 2), '--data', other]
    await mustSitu(['ingest', join(folder, 'texts.jsonl'), '--as', 'article', ...own])
    // A rehearsal with the stand-in is no first run.
    await mustSitu(['run', '--model', 'stand-in', '--limit', '2', ...own])
    const words = ['run', '--model', 'fake', '--accept-change']
    expect((await situ([...words, ...own], { input: '' })).code).toBe(2)
    const before = fake.counts.calls
    const { code, stderr } = await situ([...words, '--max-calls', '1', ...own])
    expect([code, fake.counts.calls - before]).toEqual([3, 1])
    expect(stderr).not.toContain('--yes')
    // One call is recorded: from now on nobody is asked.
    expect((await situ([...words, ...own], { input: '' })).code).toBe(0)
  })
})
