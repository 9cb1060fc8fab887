/**
 * A provider that fails now and then: each record ends as a result, or as a dead letter only where both the reply and
 * the corrective reply were broken, which the log of the provider proves. And no call is made in vain.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { ChatMessage } from '../../operators/model.ts'
import type { Failed } from '../../schemas/records.ts'
import { FakeModelProcess, type LoggedCall } from '../support/fake-model.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { withModels } from '../support/model-runs.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import { folderGround, type Ground, ingestDocuments } from '../support/workers.ts'

const faults = [
  { kind: 'status', status: 429, retryAfter: 1, share: 0.02 },
  { kind: 'status', status: 500, share: 0.01 },
  { kind: 'broken-json', share: 0.02 },
]

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 150 : 2_500))
  const concurrency = Number(options.values.concurrency ?? 32)
  const folder = temporaryFolder()
  const fake = await FakeModelProcess.start(folder, { phases: [{ latencyMs: 100, faults }] })
  try {
    const ground = folderGround(join(folder, 'data'))
    await ingestDocuments(ground, folder, documents)
    const flags = withModels(ground, folder, { fake: { baseUrl: fake.url } })
    const { code } = await situ(['run', '--concurrency', String(concurrency), ...flags])
    const { calls } = fake
    const letters = await deadLetters(ground)
    const { operators, conservation } = JSON.parse(
      (await situ(['topics', '--verify', '--json', ...ground.flags])).stdout,
    )
    const outcomes: number[] = [operators.situate, operators.instruct].map(({ done }) => done)
    const results = outcomes.reduce((sum, done) => sum + done, 0)
    const asked = calls.filter(({ step }) => step !== 'probe')
    const unproven = await Promise.all(letters.map(async letter => !(await isProven(letter, asked, ground))))
    const figures: Figure[] = [
      { name: 'records', value: operators.situate.in + operators.instruct.in },
      { name: 'exit code of the run', value: code ?? -1, goal: { most: 0 } },
      ...['status', 'broken-json'].map(outcome => ({
        name: `calls that ended as ${outcome}`,
        value: calls.filter(call => call.outcome === outcome).length,
      })),
      { name: 'probes', value: calls.length - asked.length },
      { name: 'calls per result and model step', value: asked.length / results, goal: { most: 1.06 } },
      { name: 'dead letters', value: letters.length },
      {
        name: 'of them without two broken replies in the log of the provider',
        value: unproven.filter(Boolean).length,
        goal: { most: 0 },
      },
      {
        name: 'records without an outcome',
        value: [operators.situate, operators.instruct].reduce((sum, { lag, inFlight }) => sum + lag + inFlight, 0),
        goal: { most: 0 },
      },
      { name: 'conservation broken', value: conservation === 'ok' ? 0 : 1, goal: { most: 0 } },
    ]
    report('faults', figures, options)
  } finally {
    await fake.stop()
    removeFolder(folder)
  }
}

async function deadLetters({ flags }: Ground): Promise<Failed[]> {
  const { stdout } = await mustSitu(['tap', 'failed', ...flags])
  const lines = stdout.split('\n').filter(line => line !== '')
  return lines.flatMap(line => JSON.parse(line).value ?? [])
}

/** Whether the provider broke its replies to the record's first messages and to the corrective ones. */
async function isProven({ id, code }: Failed, calls: readonly LoggedCall[], { flags }: Ground): Promise<boolean> {
  if (code !== 'MODEL_REPLY_INVALID' && code !== 'MODEL_REPLY_CUT') return false
  const messages: ChatMessage[] = JSON.parse((await mustSitu(['trace', id, '--prompt', ...flags])).stdout)
  return [messages, messages.slice(0, -2)].every(sent => {
    const hash = createHash('sha256').update(JSON.stringify(sent)).digest('hex')
    return calls.some(call => call.messages === hash && call.outcome === 'broken-json')
  })
}
