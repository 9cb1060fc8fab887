import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { removeFolder, temporaryFolder } from './situ.ts'

/** A folder for the tests of one file, removed after them. @returns Gives paths in it; with content, writes the file. */
export function testFolder(): (name: string, content?: string | Buffer) => string {
  const folder = temporaryFolder()
  afterAll(() => removeFolder(folder))
  return (name, content) => {
    const file = join(folder, name)
    if (content !== undefined) writeFileSync(file, content)
    return file
  }
}
