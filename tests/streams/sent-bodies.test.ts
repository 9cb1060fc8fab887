import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Provenance } from '../../schemas/records.ts'
import { ownProvenance, stages } from '../../streams/chain/topology.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import { realInstructions } from '../fixtures/real-instructions.ts'
import { FakeModelProcess } from '../support/fake-model.ts'
import { readRecords } from '../support/pipeline.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import { folderGround, withPipeline } from '../support/workers.ts'

const timeoutMs = 120_000

/** What a model step wrote, by topic. */
const operators = {
  chosen: 'score-real',
  concept: 'conceive',
  grounding: 'retrieve',
  demonstration: 'attribute',
  situation: 'situate',
  instruction: 'instruct',
  moderated: 'moderate',
  scored: 'score',
} as const

type Topic = keyof typeof operators

interface Made {
  id: string
  provenance: Provenance
}

const folder = temporaryFolder()
const ground = folderGround(join(folder, 'data'))
const inside = { cwd: folder }
let fake: FakeModelProcess

/** What each topic held after the first run, and after the second one. */
let before: Map<Topic, Made[]>
let after: Map<Topic, Made[]>

/** A page that has the words of an instruction, so that it is found for it. */
function pageFor({ text }: (typeof realInstructions)[number]): string {
  return `${text} `
    .repeat(3)
    .concat('What is said of it here was written down by those who had the same question. '.repeat(4))
}

async function ingest(name: string, rows: readonly object[], words: readonly string[] = []): Promise<void> {
  writeFileSync(join(folder, name), rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  await mustSitu(['ingest', name, ...words, ...ground.flags], inside)
}

/** Each prompt with another sentence in its system part. */
function changePrompts(): string[] {
  return Object.values(operators).flatMap(operator => {
    const file = stageOf(operator).operator.prompt?.file ?? operator
    const text = readFileSync(join(import.meta.dirname, `../../operators/prompts/${file}.md`), 'utf8')
    writeFileSync(join(folder, `${operator}.md`), text.replace('# system\n', '# system\nThink of the reader first.\n'))
    return ['--prompt', `${operator}=${operator}.md`]
  })
}

function stageOf(operator: string) {
  const stage = stages.find(({ name }) => name === operator)
  if (!stage) throw new Error(`there is no ${operator}`)
  return stage
}

/** What the model steps have written. */
function readAll(): Promise<Map<Topic, Made[]>> {
  return withPipeline(ground, async pipeline => {
    const made = new Map<Topic, Made[]>()
    for (const topic of Object.keys(operators) as Topic[]) {
      const { operator } = stageOf(operators[topic])
      const records = await readRecords(pipeline, topic)
      const own = records.map(record => ({ id: record.id, provenance: ownProvenance(operator, record) }))
      made.set(
        topic,
        own.filter((one): one is Made => one.provenance?.operator === operator.name),
      )
    }
    return made
  })
}

beforeAll(async () => {
  const faults = [{ kind: 'broken-json', share: 0.1 }]
  fake = await FakeModelProcess.start(folder, { phases: [{ faults }] }, 'provider', 0, ['--log-bodies'])
  const configuration = {
    models: { fake: { baseUrl: fake.url, model: 'fake-model' } },
    model: 'fake',
    operators: {
      extract: { minimumCharacters: 100 },
      'score-real': { enabled: true, minimumScore: 0 },
      'dedupe-real': { enabled: true },
      conceive: { enabled: true },
      retrieve: { enabled: true, minimumRelevance: 0 },
      attribute: { enabled: true },
      moderate: { enabled: true },
      score: { enabled: true, minimumScore: 0 },
    },
  }
  writeFileSync(join(folder, 'situ.config.yaml'), JSON.stringify(configuration))
  const usable = realInstructions.slice(0, 14)
  await ingest(
    'pages.jsonl',
    usable.slice(0, 5).map(row => ({ text: pageFor(row) })),
  )
  await ingest('chats.jsonl', usable.slice(0, 9), ['--as', 'real-instruction'])
  await mustSitu(['run', '--yes', ...ground.flags], inside)
  before = await readAll()
  await mustSitu(['demonstrations', 'snapshot', ...ground.flags], inside)
  await ingest(
    'more-pages.jsonl',
    usable.slice(9, 12).map(row => ({ text: pageFor(row) })),
  )
  await ingest('more-chats.jsonl', usable.slice(9), ['--as', 'real-instruction'])
  const stopped = await situ(['run', '--yes', ...ground.flags], inside)
  expect([stopped.code, stopped.stderr]).toEqual([2, expect.stringContaining('situate: snapshot was')])
  await mustSitu(['run', '--yes', '--accept-change', ...changePrompts(), ...ground.flags], inside)
  after = await readAll()
}, timeoutMs)

afterAll(async () => {
  await fake?.stop()
  removeFolder(folder)
})

/** The messages of a request as they stand in its body, which begins and ends with other fields. */
function isSent(messages: string, { messages: hash }: Provenance): boolean {
  const bodies = fake.calls.filter(call => call.messages === hash).map(({ body }) => body ?? '')
  return bodies.length > 0 && bodies.every(body => body.includes(`"messages":${messages}`))
}

describe('what was sent for a record, after prompts and demonstrations have changed', () => {
  it.each(Object.keys(operators) as Topic[])(
    'is printed byte for byte as the provider logged it, for what the first run wrote to %s',
    { timeout: timeoutMs },
    async topic => {
      const made = before.get(topic) ?? []
      expect(made.length).toBeGreaterThan(0)
      const corrected = made.find(({ provenance }) => provenance.attempts.length > 1)
      for (const { id, provenance } of [made[0], corrected].filter(one => one !== undefined)) {
        const { stdout } = await mustSitu(['trace', id, '--prompt', ...ground.flags])
        expect(isSent(stdout.trimEnd(), provenance)).toBe(true)
      }
    },
  )

  it('is made again for every record of both runs, corrective turns too', async () => {
    const all = [...after.values()].flat()
    expect(all.length).toBeGreaterThan([...before.values()].flat().length)
    expect(all.filter(({ provenance }) => provenance.attempts.length > 1).length).toBeGreaterThan(0)
    await withPipeline(ground, async pipeline => {
      for (const { id, provenance } of all) {
        const { messages, matches } = await sentMessages(pipeline, provenance)
        expect({ id, matches, isSent: isSent(JSON.stringify(messages), provenance) }).toEqual({
          id,
          matches: true,
          isSent: true,
        })
      }
    })
  })

  it('differs between the runs in prompt and snapshot', () => {
    for (const topic of Object.keys(operators) as Topic[]) {
      const prompts = new Set((after.get(topic) ?? []).map(({ provenance }) => provenance.prompt))
      expect([topic, prompts.size]).toEqual([topic, 2])
    }
    const snapshots = new Set((after.get('situation') ?? []).map(({ provenance }) => provenance.snapshot))
    expect(snapshots.size).toBe(2)
  })
})
