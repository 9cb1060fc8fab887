import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSchema } from '../../../schemas/reading.ts'
import { schemas } from '../../../schemas/records.ts'
import { topicNouns } from '../../../streams/chain/topology.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

describe('situ schema', () => {
  it('prints a schema that is whole: another program can parse it alone', async () => {
    const { stdout } = await mustSitu(['schema', 'show', 'deduped'], { cwd: folder })
    expect(JSON.parse(stdout)).toEqual(schemas.deduped)
    expect(parseSchema(stdout)).toMatchObject({ typeName: 'record' })
    expect(stdout.split('\n').length).toBeGreaterThan(20)
  })

  it('writes one schema into a file, and all into a folder', async () => {
    const file = join(folder, 'page.avsc')
    await mustSitu(['schema', 'export', 'page', '--out', file], { cwd: folder })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(schemas.page)
    const all = join(folder, 'some/where')
    const { stdout } = await mustSitu(['schema', 'export', '--out', all], { cwd: folder })
    expect(readdirSync(all).sort()).toEqual(topicNouns.map(noun => `${noun}.avsc`).sort())
    for (const noun of topicNouns) expect(parseSchema(readFileSync(join(all, `${noun}.avsc`), 'utf8'))).toBeDefined()
    expect(stdout).toContain('subject page-value')
  })

  it('names the subject that the schema has in the registry', async () => {
    const env = { SITU_BROKERS: '127.0.0.1:1', SITU_REGISTRY: 'http://127.0.0.1:1', SITU_PREFIX: 'team.crawl' }
    const words = ['schema', 'export', 'page', '--out', join(folder, 'other.avsc')]
    expect((await mustSitu(words, { cwd: folder, env })).stdout).toContain('subject team.crawl.page-value')
  })

  it.each([
    [['show'], 2, 'one of page'],
    [['show', 'pge'], 2, 'did you mean page?'],
    [['shwo', 'page'], 2, 'shwo'],
    [['export', 'page'], 2, '--out'],
    [['export', '--out', '-'], 2, 'only one'],
  ])('%j exits %d and names what is wrong', async (words, code, named) => {
    expect(await situ(['schema', ...words], { cwd: folder })).toMatchObject({
      code,
      stderr: expect.stringContaining(named),
    })
  })

  it('exits 1 where the file can not be written', async () => {
    const file = join(folder, 'a-file')
    writeFileSync(file, '')
    const words = ['schema', 'export', '--out', join(file, 'below')]
    expect(await situ(words, { cwd: folder })).toMatchObject({ code: 1, stderr: expect.stringContaining(file) })
  })
})
