import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sinkFor } from '../../../streams/sinks/index.ts'
import { jsonLine, jsonl } from '../../../streams/sinks/jsonl.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'situ-sink-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the jsonl sink', () => {
  it('writes a record a line, and the file only when it is closed', async () => {
    const path = join(folder, 'out.jsonl')
    const writer = await jsonl.open(path)
    await writer.write({ id: 'a', text: 'one\ntwo' })
    await writer.write({ id: 'b', n: null })
    expect(existsSync(path)).toBe(false)
    await writer.close()
    expect(readFileSync(path, 'utf8')).toBe('{"id":"a","text":"one\\ntwo"}\n{"id":"b","n":null}\n')
    expect(await readdir(folder)).toEqual(['out.jsonl'])
    await writer.close()
    await writer.abort()
    expect(existsSync(path)).toBe(true)
  })

  it('writes much without holding it, packed where the name ends in .gz', async () => {
    for (const name of ['out.jsonl', 'out.jsonl.gz']) {
      const path = join(folder, name)
      const writer = await jsonl.open(path)
      for (let id = 0; id < 20_000; id++) await writer.write({ id, text: `text ${Math.sin(id)} `.repeat(10) })
      await writer.close()
      const bytes = readFileSync(path)
      const lines = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trimEnd().split('\n')
      expect(lines).toHaveLength(20_000)
      expect(JSON.parse(lines[19_999] ?? '')).toMatchObject({ id: 19_999 })
    }
  })

  it('leaves what was there when it is aborted', async () => {
    const path = join(folder, 'out.jsonl')
    await writeFile(path, 'before')
    const writer = await jsonl.open(path)
    await writer.write({ id: 'a' })
    await writer.abort()
    expect(readFileSync(path, 'utf8')).toBe('before')
    expect(await readdir(folder)).toEqual(['out.jsonl'])
  })

  it('makes an empty file of no records', async () => {
    const path = join(folder, 'out.jsonl.gz')
    await (await jsonl.open(path)).close()
    expect(gunzipSync(readFileSync(path))).toHaveLength(0)
  })

  it('names a folder that is not there', async () => {
    await expect(jsonl.open(join(folder, 'no', 'out.jsonl'))).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' })
  })

  it.each(['out.jsonl', 'out.jsonl.gz'])('says that the disk is full, and leaves no %s', async name => {
    const path = join(folder, name)
    await symlink('/dev/full', `${path}.partial`)
    const writer = await jsonl.open(path)
    const write = async () => {
      for (let id = 0; id < 2000; id++) await writer.write({ id, text: `${Math.sin(id)}`.repeat(50) })
      await writer.close()
    }
    await expect(write()).rejects.toMatchObject({ code: 'DISK_FULL' })
    await writer.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('writes to a named pipe or a device as it is, and keeps a link a link', async () => {
    const pipe = join(folder, 'pipe.jsonl')
    execFileSync('mkfifo', [pipe])
    const reading = readFile(pipe, 'utf8')
    const toPipe = await jsonl.open(pipe)
    await toPipe.write({ id: 1 })
    await toPipe.close()
    expect(await reading).toBe('{"id":1}\n')
    expect((await lstat(pipe)).isFIFO()).toBe(true)
    await writeFile(join(folder, 'real.jsonl'), 'old')
    await symlink('real.jsonl', join(folder, 'link.jsonl'))
    const toLink = await jsonl.open(join(folder, 'link.jsonl'))
    await toLink.write({ id: 2 })
    await toLink.close()
    expect(await readFile(join(folder, 'real.jsonl'), 'utf8')).toBe('{"id":2}\n')
    expect((await lstat(join(folder, 'link.jsonl'))).isSymbolicLink()).toBe(true)
  })

  it('writes to stdout for -', () => {
    const script = `
      const { jsonl } = await import('${pathToFileURL('streams/sinks/jsonl.ts').href}')
      const writer = await jsonl.open('-')
      for (let id = 0; id < 3000; id++) await writer.write({ id })
      await writer.close()`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(output.trimEnd().split('\n')).toHaveLength(3000)
  })
})

describe('jsonLine', () => {
  it('writes bytes in base64, at any depth', () => {
    const record = { value: Buffer.from('ab'), deep: [{ slots: Uint8Array.of(255) }], none: null }
    expect(jsonLine(record)).toBe('{"value":"YWI=","deep":[{"slots":"/w=="}],"none":null}')
  })
})

describe('sinkFor', () => {
  it('chooses by the ending, packed or not, and by --format', () => {
    for (const path of ['a.jsonl', 'a.NDJSON', 'a.jsonl.gz', '-']) expect(sinkFor(path).name).toBe('jsonl')
    expect(sinkFor('a.txt', 'jsonl').name).toBe('jsonl')
  })

  it('names what it knows for an unknown ending or format', () => {
    expect(() => sinkFor('a.csv')).toThrow('--out: the ending of a.csv tells no format (.jsonl, .ndjson)')
    expect(() => sinkFor('a.csv', 'jsonll')).toThrow('did you mean jsonl?')
  })
})
