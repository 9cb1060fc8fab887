import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkScript } from '../../../streams/fake-model/script.ts'
import { ScriptedModel } from '../../../streams/fake-model/scripted-model.ts'
import { generateDocuments, readDocuments, sentencesOf } from '../../support/documents.ts'
import { kafkaServices, uniquePrefix } from '../../support/kafka.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../../support/situ.ts'

const documents = 12
let folder: string
let fake: ScriptedModel
let env: Record<string, string>
let flags: string[]

beforeAll(async () => {
  folder = temporaryFolder()
  fake = await ScriptedModel.start({ script: checkScript({ tokenizer: 'o200k' }, 'script'), seed: 1 })
  const config = join(folder, 'situ.config.yaml')
  const model = { baseUrl: fake.url, model: 'fake-model', price: { input: 1, output: 4 } }
  writeFileSync(config, JSON.stringify({ model: 'fake', models: { fake: model } }))
  const { brokers, registry } = kafkaServices()
  env = { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: uniquePrefix().slice(0, -1) }
  // Replies and rates lie in the data folder, also with Kafka.
  flags = ['--config', config, '--data', join(folder, 'data')]
  await mustSitu(['topics', '--create', '--partitions', '3'], { env, cwd: folder })
})

afterAll(async () => {
  await fake.close()
  removeFolder(folder)
})

async function ingest(seed: number): Promise<void> {
  const made = generateDocuments(documents, sentencesOf(readDocuments(50)), seed)
  // One is there twice: it lies in another partition, and the chain drops it before any model sees it.
  const texts = [...made, { ...made[0], url: 'https://example.org/again' }]
  const file = join(folder, `${seed}.jsonl`)
  writeFileSync(file, texts.map(text => `${JSON.stringify(text)}\n`).join(''))
  await mustSitu(['ingest', file, '--as', 'article', '--config', join(folder, 'situ.config.yaml')], {
    env,
    cwd: folder,
  })
}

const estimate = async (...words: string[]) =>
  JSON.parse((await mustSitu(['estimate', '--json', ...words, ...flags], { env, cwd: folder })).stdout)

it('situ estimate on Kafka tells to the token what the run over all partitions then takes, and writes nothing', async () => {
  await ingest(5)
  const counted = await estimate('--no-call')
  expect([fake.counts.calls, counted.stages.situate.inputs.value]).toEqual([0, documents])
  const told = await estimate('--yes')
  const paid = fake.counts
  expect([told.sampled, told.paid.calls, told.total.calls.value]).toEqual([documents, 2 * documents, 2 * documents])
  expect(told.total.promptTokens.value).toBe(paid.promptTokens)
  expect(told.total.usd.value).toBeCloseTo((paid.promptTokens + 4 * paid.completionTokens) / 1e6, 9)
  const before = JSON.parse((await mustSitu(['topics', '--json'], { env, cwd: folder })).stdout)
  expect(before.operators['dedupe-document']?.in).toBe(0)
  const { stdout } = await mustSitu(['run', '--yes', '--json', ...flags], { env, cwd: folder })
  expect(fake.counts.calls).toBe(2 * documents)
  const { operators } = JSON.parse(stdout)
  expect(told.stages.instruct.inputs.value).toBe(operators.instruct.in)
  expect(told.rows.value).toBe(operators['dedupe-instruction'].out)
}, 120_000)

it('situ estimate on Kafka finds nothing to pay after the run, and then only what came later', async () => {
  const { total, time } = await estimate('--yes')
  expect([total.calls.value, total.usd.value, time.seconds.value]).toEqual([0, 0, 0])
  await ingest(6)
  const later = await estimate('--yes', '--sample', '4')
  expect([later.stages.situate.inputs.value, later.sampled]).toEqual([documents, 4])
  const { low, value, high } = later.total.usd
  expect(low < value && value < high).toBe(true)
}, 120_000)
