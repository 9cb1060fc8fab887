import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Noun } from '../../schemas/records.ts'
import type { StageStatus } from '../../streams/inspect/status.ts'
import { FakeModelProcess } from '../support/fake-model.ts'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { expectOneOfEach, families, family, meaningDrops, meaningStages, readAllOf } from '../support/meaning.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'
import { type Ground, groundOf, until, withPipeline } from '../support/workers.ts'

const timeoutMs = 120_000
const partitions = 3
/** What tells when and where something was done. */
const timesAndPlaces: readonly string[] = ['time', 'latencyMs', 'topic', 'partition', 'offset']

let folder: string
let fake: FakeModelProcess
let kafka: Ground
let embedded: Ground
beforeAll(async () => {
  folder = temporaryFolder()
  fake = await FakeModelProcess.start(folder, {})
})
afterAll(async () => {
  await fake.stop()
  removeFolder(folder)
})
beforeEach(() => {
  const { brokers, registry } = kafkaServices()
  const prefix = uniquePrefix().slice(0, -1)
  const config = join(folder, `${prefix}.config.yaml`)
  const chat = { baseUrl: fake.url, model: 'chat' }
  const models = { chat, omni: { ...chat, model: 'omni-moderation-latest', kind: 'moderation' }, near: chat }
  const operators = {
    moderate: { model: 'omni', dropFor: ['hate'] },
    conceive: { model: 'chat' },
    retrieve: { judge: false, minimumRelevance: 0.1 },
  }
  writeFileSync(config, JSON.stringify({ models, operators, embedder: 'near' }))
  const all = { config, partitions: String(partitions) }
  kafka = groundOf({ ...all, data: join(folder, prefix), brokers: brokers.join(','), registry, prefix })
  embedded = groundOf({ ...all, data: join(folder, `${prefix}-embedded`) })
})

/** Writes rows into a file and ingests them on both grounds. */
async function ingest(noun: Noun, rows: readonly string[]): Promise<void> {
  const file = join(folder, `${noun}.jsonl`)
  writeFileSync(file, rows.map(text => `${JSON.stringify({ text })}\n`).join(''))
  for (const { flags } of [kafka, embedded]) await mustSitu(['ingest', file, '--as', noun, ...flags])
}

/** Works on Kafka with two workers at once, and embedded with one; all sums must hold. @returns Those of Kafka, by operator. */
async function work(names: readonly string[]): Promise<Record<string, StageStatus>> {
  const run = ({ flags }: Ground) => mustSitu(['run', ...names, '--yes', '--log-level', 'error', ...flags])
  await Promise.all([run(kafka), run(kafka), run(embedded)])
  await statusOf(embedded)
  let status: Record<string, StageStatus> = {}
  const isWorked = async () => {
    status = await statusOf(kafka)
    return names.every(name => status[name]?.lag === 0 && status[name]?.inFlight === 0)
  }
  // An open transaction of one who has lost a task hides for some seconds what others have committed.
  await until(isWorked, 30_000, 'the end of the work')
  return status
}

/** By operator; all sums hold. */
async function statusOf({ flags }: Ground): Promise<Record<string, StageStatus>> {
  const { stdout } = await mustSitu(['topics', '--verify', '--json', ...flags])
  return JSON.parse(stdout).operators
}

/** Records of a topic, each as its JSON without times and places, in an order of their own. */
async function recordsOf(ground: Ground, noun: Noun): Promise<string[]> {
  const found = await withPipeline(ground, pipeline => readAllOf(pipeline, noun))
  return found.map(({ record }) => JSON.stringify(record, withoutTimes)).sort()
}

function withoutTimes(name: string, value: unknown): unknown {
  return timesAndPlaces.includes(name) ? undefined : value
}

it('moderate labels and drops on brokers as it does in a folder', { timeout: timeoutMs }, async () => {
  const rows = Array.from({ length: 24 }, (_, number) => {
    const harm = { 0: ' [flag:hate]', 1: ' [flag:violence]' }[number % 6] ?? ''
    return `${family(number)[0]}${harm} Write it for a newcomer, in the order of work, and end with one next step.`
  })
  await ingest('instruction', rows)
  const before = fake.calls.length
  const { moderate } = await work(['dedupe-instruction', 'moderate'])
  expect(moderate).toMatchObject({ in: 24, done: 20, dropped: { unsafe: 4 }, failed: {} })
  expect(fake.calls).toHaveLength(before + 2 * rows.length)
  const moderated = await recordsOf(kafka, 'moderated')
  expect(moderated).toEqual(await recordsOf(embedded, 'moderated'))
  expect(moderated.filter(text => text.includes('"flagged":true,"categories"'))).toHaveLength(4)
})

it('embed-real and dedupe-meaning keep one of each family, wherever they came in', { timeout: timeoutMs }, async () => {
  await ingest('real-instruction', families.flatMap(family))
  const before = fake.calls.length
  const operators = await work(meaningStages)
  expect(operators['embed-real']).toMatchObject({ in: 18, done: 18, failed: {} })
  expect(operators['dedupe-meaning']).toMatchObject({ in: 18, done: 6, dropped: { near_duplicate: 12 } })
  expect(fake.calls).toHaveLength(before + 2 * 18)
  expect(await recordsOf(kafka, 'embedded')).toEqual(await recordsOf(embedded, 'embedded'))
  await withPipeline(kafka, async pipeline => {
    expect(new Set((await readAllOf(pipeline, 'embedded')).map(({ partition }) => partition))).toEqual(new Set([0]))
    const unique = await readAllOf(pipeline, 'unique')
    expectOneOfEach(unique.map(({ record }) => record.text))
    // What is kept is shared out again.
    expect(new Set(unique.map(({ partition }) => partition)).size).toBeGreaterThan(1)
    const kept = unique.map(({ record }) => record.input.id)
    for (const { twin } of await meaningDrops(pipeline)) expect(kept).toContain(twin)
  })
})

it('retrieve waits for documents that another worker has still to make', { timeout: timeoutMs }, async () => {
  await ingest(
    'real-instruction',
    families.map(number => family(number)[0]),
  )
  const { conceive } = await work(['dedupe-real', 'conceive'])
  expect(conceive).toMatchObject({ in: 6, done: 6 })
  const letters = Array.from({ length: 3000 }, (_, number) => `Letter ${number} tells of the harvest of ${number}.`)
  // Last, so that whoever does not wait finds others or none.
  await ingest('article', [...letters, ...families.map(number => `A report. ${family(number)[1]}`)])
  const { retrieve } = await work(['dedupe-document', 'retrieve'])
  expect(retrieve).toMatchObject({ in: 6, done: 6, dropped: {}, failed: {} })
  const groundings = await recordsOf(kafka, 'grounding')
  expect(groundings).toEqual(await recordsOf(embedded, 'grounding'))
  for (const text of groundings) expect(text).toContain('A report. ')
})
