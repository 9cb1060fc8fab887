import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failed } from '../../schemas/records.ts'
import type { StageStatus } from '../../streams/inspect/status.ts'
import { modelServer } from '../support/model-server.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'
import { shortTexts } from '../support/tiny-branch.ts'

/** Where it usually takes one or two. */
const timeoutMs = 10 * 60_000

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

/** Short ones: a tiny model on two busy cores reads about a hundred tokens a second. It often repeats the example. */
const prompts = {
  situate: `# system
Imagine one person who needs help with the document. An example for a page about bread:
{"user": "A baker in a small town.", "motivation": "The oven broke today.", "scene": "She has 40 loaves to sell by noon.", "ability": "Plan a morning.", "knowledge": "How dough rises.", "extraInformation": "Her list of orders.", "output": "A plan by hours."}

# user
<document>
{{document}}
</document>
`,
  instruct: `# system
Write one short question that this person asks about the document. Fill each field with one sentence.

# user
<document>
{{document}}
</document>
{{user}} {{motivation}}
`,
}

function writeConfiguration(): void {
  const { url, model } = modelServer()
  const endpoint = { baseUrl: url, model, contextTokens: 600 }
  const parameters = { temperature: 0.8, seed: 1 }
  const operator = { demonstrations: 0, maxDocumentTokens: 64 }
  const configuration = {
    model: 'tiny',
    concurrency: 2,
    maxAttempts: 2,
    backoffMs: 10,
    maxCalls: 200,
    models: {
      tiny: { ...endpoint, parameters: { ...parameters, max_tokens: 160 } },
      curt: { ...endpoint, parameters: { ...parameters, max_tokens: 8 } },
    },
    operators: {
      extract: { minimumCharacters: 100 },
      situate: { ...operator, prompt: 'situate.md' },
      instruct: { ...operator, prompt: 'instruct.md' },
    },
  }
  writeFileSync(join(folder, 'situ.config.yaml'), JSON.stringify(configuration))
  for (const [name, text] of Object.entries(prompts)) writeFileSync(join(folder, `${name}.md`), text)
}

describe('ten documents through the chain with a real model', () => {
  it('each end as a result, a drop or a dead letter with evidence', { timeout: timeoutMs }, async () => {
    const texts = shortTexts(10)
    expect(texts).toHaveLength(10)
    writeFileSync(join(folder, 'texts.jsonl'), texts.map(text => `${JSON.stringify({ text })}\n`).join(''))
    writeConfiguration()
    const inside = { cwd: folder }
    await mustSitu(['ingest', 'texts.jsonl'], inside)
    const { seconds } = await mustSitu(['run', '--yes'], inside)

    const status = JSON.parse((await mustSitu(['topics', '--verify', '--json'], inside)).stdout)
    expect(status.conservation).toBe('ok')
    const stages: Record<string, StageStatus> = status.operators
    for (const { in: inputs, done, dropped, failed } of Object.values(stages)) {
      expect(done + sumOf(dropped) + sumOf(failed)).toBe(inputs)
    }
    expect(stages.extract).toMatchObject({ in: 10, done: 10 })
    expect(stages['dedupe-document']?.in).toBe(10)
    // A grammar and an example keep even this model to the schema, so that some replies are taken.
    expect(stages.situate?.done).toBeGreaterThan(0)
    expect(stages.instruct?.in).toBe(stages.situate?.done)

    for (const letter of await deadLetters()) expectEvidence(letter)
    const counts = Object.entries(stages).map(([name, { done, failed }]) => `${name} ${done} + ${sumOf(failed)} failed`)
    console.log(`with a real model in ${Math.round(seconds)} s: ${counts.join(', ')}`)
  })

  it('leave what was said as evidence where every reply is cut', { timeout: timeoutMs }, async () => {
    const inside = { cwd: folder }
    await mustSitu(['replay', 'instruct', '--variant', 'curt', '--model', 'curt', '--limit', '2'], inside)
    const cut = (await deadLetters()).filter(({ variant }) => variant === 'curt')
    expect(cut.map(({ code }) => code)).toEqual(['MODEL_REPLY_CUT', 'MODEL_REPLY_CUT'])
    for (const letter of cut) expectEvidence(letter)
    await mustSitu(['topics', '--verify'], inside)
  })
})

async function deadLetters(): Promise<Failed[]> {
  const { stdout } = await mustSitu(['tap', 'failed'], { cwd: folder })
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line).value as Failed)
}

function expectEvidence({ code, evidence }: Failed): void {
  expect(code).toMatch(/^MODEL_/)
  expect(evidence.kind).toMatch(/^(reply|response)$/)
  expect(evidence.text).not.toBe('')
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
