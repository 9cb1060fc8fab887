import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { kafkaServices, uniquePrefix } from '../../support/kafka.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

const timeoutMs = 120_000

let folder: string
let options: { cwd: string; env: Record<string, string> }
beforeAll(async () => {
  folder = temporaryFolder()
  const { brokers, registry } = kafkaServices()
  const prefix = uniquePrefix().slice(0, -1)
  const env = { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix, SITU_MODEL: 'stand-in' }
  options = { cwd: folder, env }
  for (const batch of [0, 1]) {
    const file = join(folder, 'texts.jsonl')
    const text = (number: number) =>
      `Report ${batch} ${number} tells of the river and what was measured there. `.repeat(6)
    writeFileSync(
      file,
      Array.from({ length: 8 }, (_, number) => `${JSON.stringify({ text: text(number) })}\n`).join(''),
    )
    await mustSitu(['ingest', file, '--as', 'article'], options)
    await mustSitu(['run'], options)
  }
}, timeoutMs)
afterAll(() => removeFolder(folder))

async function offsetsOf(topic: string): Promise<number[]> {
  const { stdout } = await mustSitu(['tap', topic, '--fields', 'offset'], options)
  return stdout.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line).offset]))
}

// First: there is no variant yet, whose record would be asked for before.
it('a tap that the registry does not answer ends with an error, and shows no record as unreadable', async () => {
  const { code, stdout, stderr } = await situ(['tap', 'situation', '--registry', 'http://127.0.0.1:9'], options)
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toContain('REGISTRY_UNREACHABLE')
}, 30_000)

it('a replay whose range ends behind a control record leaves nothing that seems to wait', async () => {
  const offsets = await offsetsOf('situation')
  expect(offsets).toHaveLength(16)
  // Of the second ingest; the end of a transaction lies before it.
  const until = offsets[8] ?? 0
  expect(until).toBeGreaterThan((offsets[7] ?? 0) + 1)
  await mustSitu(['replay', 'instruct', '--variant', 'first', '--until', String(until)], options)
  const { stdout } = await mustSitu(['topics', '--verify', '--json'], options)
  expect(JSON.parse(stdout).operators['instruct.first']).toMatchObject({ in: 8, done: 8, lag: 0 })
}, 30_000)
