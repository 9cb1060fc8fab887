import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { walk } from '../../../streams/inputs/walk.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'situ-walk-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function make(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), path)
  }
}

async function walked(globs: { include?: string[]; exclude?: string[] } = {}, paths = [folder]): Promise<string[]> {
  const found: string[] = []
  const signal = new AbortController().signal
  for await (const entry of walk(paths, { include: [], exclude: [], ...globs }, signal)) {
    const path = relative(folder, entry.path)
    found.push(entry.kind === 'file' ? path : `${path}: ${entry.error.code}`)
  }
  return found
}

describe('walk', () => {
  it('goes through folders in the order of the names', async () => {
    await make('b/2.txt', 'b/10.txt', 'a.txt', 'c/d/e.txt', 'C.txt')
    expect(await walked()).toEqual(['C.txt', 'a.txt', 'b/10.txt', 'b/2.txt', 'c/d/e.txt'])
  })

  it('takes paths in the order given, - among them', async () => {
    await make('a.txt', 'b.txt')
    const paths = [join(folder, 'b.txt'), '-', join(folder, 'a.txt')]
    const found = await Array.fromAsync(walk(paths, { include: [], exclude: [] }, new AbortController().signal))
    expect(found.map(entry => entry.path)).toEqual(paths)
  })

  it('matches a glob with a slash against the path, one without against the name', async () => {
    await make('x/source.html.gz', 'x/expected.html.gz', 'y/z/source.html.gz', 'source.html.gz', 'notes.md')
    const sourcesOnly = ['source.html.gz', 'x/source.html.gz', 'y/z/source.html.gz']
    expect(await walked({ include: ['**/source.html.gz'] })).toEqual(sourcesOnly)
    expect(await walked({ include: ['source.*'] })).toEqual(sourcesOnly)
    expect(await walked({ include: ['x/*'] })).toEqual(['x/expected.html.gz', 'x/source.html.gz'])
    expect(await walked({ include: ['*.md', '{x,y}/source*'] })).toEqual(['notes.md', 'x/source.html.gz'])
  })

  it('leaves out what --exclude matches, whole folders too', async () => {
    await make('a.txt', 'a.tmp', 'drafts/b.txt', 'x/drafts/c.txt', 'x/d.txt', '.git/e')
    expect(await walked({ exclude: ['*.tmp', 'drafts'] })).toEqual(['a.txt', 'x/d.txt'])
    expect(await walked({ include: ['*.txt'], exclude: ['x/**'] })).toEqual(['a.txt', 'drafts/b.txt'])
  })

  it('applies the globs to files given by name', async () => {
    await make('a.txt', 'b.md')
    const paths = [join(folder, 'a.txt'), join(folder, 'b.md')]
    expect(await walked({ include: ['*.md'] }, paths)).toEqual(['b.md'])
  })

  it('leaves out hidden files and folders unless a glob spells the dot', async () => {
    await make('a.txt', '.hidden.txt', '.cache/b.txt', 'x/.c.txt')
    expect(await walked()).toEqual(['a.txt'])
    expect(await walked({ include: ['**/*.txt'] })).toEqual(['a.txt'])
    expect(await walked({ include: ['*.txt'] })).toEqual(['a.txt'])
    expect(await walked({ include: ['.cache/**'] })).toEqual(['.cache/b.txt'])
    expect(await walked({ include: ['.*.txt'] })).toEqual(['.hidden.txt', 'x/.c.txt'])
    expect(await walked({}, [join(folder, '.hidden.txt')])).toEqual(['.hidden.txt'])
    expect(await walked({}, [join(folder, '.cache')])).toEqual(['.cache/b.txt'])
  })

  it('follows links, and ends where they lead in a circle or multiply', async () => {
    await make('a/one.txt', 'b/two.txt')
    await symlink('..', join(folder, 'a/up'))
    await symlink('../b', join(folder, 'a/b1'))
    await symlink('../b', join(folder, 'a/b2'))
    await symlink('two.txt', join(folder, 'b/three.txt'))
    await symlink('itself', join(folder, 'itself'))
    expect(await walked()).toEqual(['a/b1/three.txt', 'a/b1/two.txt', 'a/one.txt', 'itself: INPUT_UNREADABLE'])
  })

  it('reports a missing path and goes on with the others', async () => {
    await make('a.txt')
    await symlink('nowhere', join(folder, 'link'))
    expect(await walked({}, [join(folder, 'missing'), folder])).toEqual([
      'missing: INPUT_UNREADABLE',
      'a.txt',
      'link: INPUT_UNREADABLE',
    ])
  })

  it('leaves out pipes in a folder, which would wait for a writer', async () => {
    await make('a.txt')
    execFileSync('mkfifo', [join(folder, 'pipe')])
    expect(await walked()).toEqual(['a.txt'])
  })

  it('ends once it is aborted', async () => {
    await make('a.txt', 'b.txt', 'c.txt')
    const controller = new AbortController()
    const found: string[] = []
    for await (const entry of walk([folder, folder], { include: [], exclude: [] }, controller.signal)) {
      found.push(entry.path)
      controller.abort()
    }
    expect(found).toHaveLength(1)
  })

  it('names the option for a glob that is none', async () => {
    await expect(walked({ include: ['a'.repeat(70_000)] })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/^--include: a{80} is no glob/),
    })
  })
})
