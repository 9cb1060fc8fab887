import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Failed } from '../../schemas/records.ts'
import type { StageStatus } from '../../streams/inspect/status.ts'
import { modelServer } from '../support/model-server.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'

/** Where it usually takes one or two. */
const timeoutMs = 10 * 60_000
const sample = join(import.meta.dirname, '../../streams/sample')
const files = ['gardening-blackcurrants.txt', 'engineering-log-pump-vibration.txt', 'minutes-allotment-society.md']

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

/** Paragraphs of the sample: a tiny model on two busy cores reads about a hundred tokens a second. */
function shortTexts(count: number): string[] {
  return files
    .flatMap(file => readFileSync(join(sample, file), 'utf8').split(/\n\s*\n/))
    .map(paragraph => paragraph.replace(/\s+/g, ' ').trim())
    .filter(({ length }) => length > 150 && length < 500)
    .slice(0, count)
}

function configuration(): string {
  const { url, model, contextTokens } = modelServer()
  const parameters = { temperature: 0.3, seed: 1, max_tokens: 200 }
  const prompts = { demonstrations: 0, maxDocumentTokens: 128 }
  return JSON.stringify({
    model: 'tiny',
    concurrency: 2,
    maxAttempts: 2,
    backoffMs: 10,
    maxCalls: 200,
    models: { tiny: { baseUrl: url, model, parameters, contextTokens } },
    operators: { extract: { minimumCharacters: 100 }, situate: prompts, instruct: prompts },
  })
}

describe('ten documents through the chain with a real model', () => {
  it('each end as a result, a drop or a dead letter with evidence', { timeout: timeoutMs }, async () => {
    const texts = shortTexts(10)
    expect(texts).toHaveLength(10)
    writeFileSync(join(folder, 'texts.jsonl'), texts.map(text => `${JSON.stringify({ text })}\n`).join(''))
    writeFileSync(join(folder, 'situ.config.yaml'), configuration())
    const inside = { cwd: folder }
    await mustSitu(['ingest', 'texts.jsonl', '--as', 'article'], inside)
    const { seconds } = await mustSitu(['run', '--yes'], inside)

    const status = JSON.parse((await mustSitu(['topics', '--verify', '--json'], inside)).stdout)
    expect(status.conservation).toBe('ok')
    const stages: Record<string, StageStatus> = status.operators
    for (const { in: inputs, done, dropped, failed } of Object.values(stages)) {
      expect(done + sumOf(dropped) + sumOf(failed)).toBe(inputs)
    }
    expect(stages['dedupe-document']?.in).toBe(10)
    // A grammar keeps even this model to the schema, so that some replies are taken.
    expect(stages.situate?.done).toBeGreaterThan(0)

    const { stdout } = await mustSitu(['tap', 'failed'], inside)
    const letters = stdout
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line).value as Failed)
    for (const { code, evidence } of letters) {
      expect(code).toMatch(/^MODEL_/)
      expect(evidence.kind).toMatch(/^(reply|response)$/)
      expect(evidence.text).not.toBe('')
    }
    const counts = Object.entries(stages).map(([name, { done, failed }]) => `${name} ${done} + ${sumOf(failed)} failed`)
    console.log(`with a real model in ${Math.round(seconds)} s: ${counts.join(', ')}`)
  })
})

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
