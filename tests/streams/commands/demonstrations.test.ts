import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { builtInSnapshot } from '../../../operators/demonstrations.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { openPipeline } from '../../../streams/pipeline.ts'
import { madeDemonstration, writeDemonstrations } from '../../support/demonstrations.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

const folder = temporaryFolder()
const data = join(folder, 'data')
const builtIn = builtInSnapshot()
afterAll(() => removeFolder(folder))

async function json(...words: string[]) {
  const { stdout } = await mustSitu([...words, '--data', data, '--json'])
  return JSON.parse(stdout)
}

const page = JSON.stringify({
  url: 'https://example.org/',
  text: 'The keeper counted 37 ships on the sound. '.repeat(20),
})

describe('situ demonstrations', () => {
  it('makes snapshots of the topic that runs draw from, lists, shows and pins them', { timeout: 300_000 }, async () => {
    await mustSitu(['ingest', '-', '--as', 'article', '--data', data], { input: page })
    expect(await json('demonstrations')).toMatchObject([{ hash: builtIn.hash, isPinned: true, builtIn: 24 }])
    const pipeline = await openPipeline(readConfig({ data }, {}).config, 'write')
    await writeDemonstrations(
      pipeline,
      [1, 2, 3].map(number => madeDemonstration(number)),
    )
    await pipeline.close()
    const made = await json('demonstrations', 'snapshot', '--limit', '2')
    expect(made).toMatchObject({ demonstrations: 24, builtIn: 22, topic: 'demonstration', ends: [3], live: false })
    const listed = await json('demonstrations')
    expect(listed).toMatchObject([
      { hash: made.hash, isPinned: true },
      { hash: builtIn.hash, isPinned: false },
    ])
    expect((await json('demonstrations', 'show', made.hash)).demonstrations).toHaveLength(24)
    const { stderr } = await mustSitu(['run', '--model', 'stand-in', '--no-situation', '--data', data])
    expect(stderr).toContain(`snapshot ${made.hash} of 24 demonstrations, 22 of them built in`)
    expect(await json('demonstrations', 'shown')).toMatchObject({ 'write-plain': { records: 1, histogram: {} } })
    const { stdout } = await mustSitu(['tap', 'instruction', '--data', data])
    expect(JSON.parse(stdout).value).toMatchObject({ situation: null, provenance: { snapshot: made.hash } })
    expect((await mustSitu(['demonstrations', 'pin', 'built-in', '--data', data])).stdout).toContain(builtIn.hash)
    expect((await json('demonstrations'))[0]).toMatchObject({ hash: builtIn.hash, isPinned: true })
  })

  it.each([
    [['remove'], 'unknown word remove'],
    [['show'], 'expected a HASH'],
    [['list', 'x'], 'expected no HASH'],
    [['show', 'x'], 'x: expected built-in or the hash of a snapshot'],
    [['show', 'f'.repeat(32)], 'there is no such snapshot'],
    [['list', '--limit', '3'], '--limit belongs to snapshot'],
  ])('refuses %j', { timeout: 60_000 }, async (words, message) => {
    const { code, stderr } = await situ(['demonstrations', ...words, '--data', data])
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
