import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { removeFolder, situ, temporaryFolder } from '../../support/situ.ts'

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
})
