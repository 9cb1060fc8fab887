import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeProvider } from '../../fake-provider.ts'
import { mustSitu, removeFolder, Situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => removeFolder(folder))

describe('situ topics', () => {
  it('shows what calls cost by model and prompt, and what they wait for while a run goes on', async () => {
    await using provider = await FakeProvider.start()
    const data = join(folder, 'data')
    const price = { input: 1_000, output: 1_000 }
    const models = { big: { baseUrl: provider.url, model: 'small', price, requestsPerMinute: 60 } }
    const config = join(folder, 'situ.config.yaml')
    writeFileSync(config, JSON.stringify({ model: 'big', models }))
    const pages = Array.from({ length: 40 }, (_, number) => {
      const text = `Page ${number} tells of the ferry to island ${number}. `.repeat(12)
      return JSON.stringify({ url: `https://example.org/${number}`, text })
    })
    const input = join(folder, 'pages.jsonl')
    writeFileSync(input, pages.join('\n'))
    await mustSitu(['ingest', input, '--data', data])
    const status = async () => JSON.parse((await mustSitu(['topics', '--json', '--data', data])).stdout)
    const run = new Situ(['run', '--config', config, '--data', data, '--yes'])
    await expect
      .poll(async () => (await status()).operators.situate.waiting?.cause, { timeout: 20_000 })
      .toBe('requests per minute')
    run.child.kill('SIGTERM')
    await run.done
    const { operators } = await status()
    expect(operators.situate.waiting).toBeNull()
    const [spent] = operators.situate.spent
    expect(spent).toMatchObject({ model: 'small', inputs: operators.situate.done, unpriced: 0 })
    expect(spent.costUsd).toBeCloseTo((spent.promptTokens + spent.completionTokens) / 1_000, 6)
    const { stdout } = await mustSitu(['topics', '--data', data])
    expect(stdout).toContain(spent.costUsd.toFixed(4))
  }, 60_000)
})
