import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

describe('situ run', () => {
  it.each([
    ['run', 'extract'],
    ['run', 'extract', '--follow'],
  ])('makes no data folder: %s %s %s', async (...words) => {
    const data = join(folder, 'misspelled')
    const { code, stdout, stderr } = await situ([...words, '--data', data], { cwd: folder })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(`no data folder at ${data}; situ ingest makes one`)
    expect(existsSync(data)).toBe(false)
  })

  it('tells of records that wait before the operators that it was to work, and of no others', async () => {
    const data = join(folder, 'gap')
    const sample = join(import.meta.dirname, '../../../streams/sample/pages.jsonl')
    const flags = ['--data', data, '--model', 'stand-in', '--yes']
    await mustSitu(['ingest', sample, '--data', data])
    const told = async (...words: string[]) => {
      const { stdout } = await mustSitu(['run', ...words, ...flags])
      const { waiting } = JSON.parse((await mustSitu(['run', ...words, ...flags, '--json'])).stdout)
      return { text: /^records wait .*/m.exec(stdout)?.[0], waiting }
    }
    const pages = { extract: expect.any(Number) }
    const first = await told('situate')
    expect(first).toEqual({
      text: expect.stringMatching(/^records wait for operators that this run did not work: [1-9]\d* for extract$/),
      waiting: pages,
    })
    expect(await told('extract')).toEqual({ waiting: {} })
    expect((await told('situate')).waiting).toEqual({ 'dedupe-document': expect.any(Number) })
    expect(await told()).toEqual({ waiting: {} })
  })
})
