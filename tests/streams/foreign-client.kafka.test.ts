import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../services/command.ts'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { missingPython, pythonWithClient } from '../support/python.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'

const script = join(import.meta.dirname, '../services/foreign_client.py')
const count = 500
const missing = await missingPython()

describe.skipIf(missing !== null && process.env.CI !== 'true')(
  `a Python client${missing ? ` (${missing})` : ''}`,
  () => {
    let folder: string
    let python: string
    beforeAll(async () => {
      if (missing !== null) throw new Error(missing)
      folder = temporaryFolder()
      python = await pythonWithClient()
    }, 320_000)
    afterAll(() => folder && removeFolder(folder))

    it('writes pages, each twice, and reads what is made of them', { timeout: 300_000 }, async () => {
      const prefix = uniquePrefix().slice(0, -1)
      const { brokers, registry } = kafkaServices()
      const options = {
        cwd: folder,
        env: { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix },
      }
      const client = (...words: string[]) => {
        const [command = '', topic = '', ...rest] = words
        const all = [script, command, brokers.join(','), registry, `${prefix}.${topic}`, ...rest]
        return runCommand(python, all, { timeoutMs: 60_000 })
      }
      await mustSitu(['topics', '--create', '--partitions', '3'], options)
      const schema = join(folder, 'page.avsc')
      await mustSitu(['schema', 'export', 'page', '--out', schema], options)
      await client('write', 'page', schema, String(count))
      await mustSitu(['run', '--model', 'stand-in'], options)

      const { stdout } = await mustSitu(['topics', '--verify', '--json'], options)
      const { operators, conservation, notes } = JSON.parse(stdout)
      expect(conservation).toBe('ok')
      expect(notes).toEqual([`ingest: ${2 * count} records are of other producers`])
      expect(operators.extract).toMatchObject({ in: 2 * count, done: 2 * count })
      expect(operators['dedupe-document']).toMatchObject({ in: 2 * count, done: count, out: count })

      const out = join(folder, 'deduped.jsonl')
      await client('read', 'deduped', out)
      const lines = readFileSync(out, 'utf8').split('\n')
      const read = lines.map(line => JSON.parse(line))
      expect(read.length).toBeGreaterThan(0)
      expect(read).toHaveLength(operators['dedupe-instruction'].out)
      for (const { id, text, document } of read) {
        expect([id, text, document.id]).toEqual(Array(3).fill(expect.stringMatching(/./)))
      }
    })
  },
)
