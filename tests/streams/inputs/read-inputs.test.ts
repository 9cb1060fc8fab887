import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  defaultInputOptions,
  type InputEvent,
  type InputOptions,
  readInputs,
} from '../../../streams/inputs/read-inputs.ts'
import { chunksOf } from '../sources/collect.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'situ-read-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function file(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}

const never = new AbortController().signal

function read(paths: string[], options: Partial<InputOptions> = {}, signal = never): AsyncGenerator<InputEvent> {
  return readInputs(paths, { ...defaultInputOptions, stdin: chunksOf(''), ...options }, signal)
}

/** Source and content, or code and message, without the folder. */
async function brief(events: AsyncIterable<InputEvent>): Promise<string[]> {
  const found: string[] = []
  for await (const event of events) {
    if (event.kind === 'item') found.push(`${event.source} = ${event.format}: ${event.content}`)
    else
      found.push(
        event.kind === 'fault' ? `${event.code} ${event.message}` : `${event.error.code} ${event.error.message}`,
      )
  }
  return found.map(line => line.replaceAll(`${folder}/`, ''))
}

describe('readInputs', () => {
  it('reads each file by its ending, packed or not, with file and place as the source', async () => {
    const jsonl = '{"text":"a"}\n{"text":"b"}\n'
    const paths = [
      await file('1.jsonl', jsonl),
      await file('2.jsonl.gz', Buffer.concat([gzipSync(jsonl.slice(0, 15)), gzipSync(jsonl.slice(15))])),
      await file('3.json', '[{"text":"c"}]'),
      await file('4.txt', 'd'),
      await file('5.md.gz', gzipSync('# e')),
      await file('6.html', '<p>f</p>'),
    ]
    const expected = [
      '1.jsonl line 1 = text: a',
      '1.jsonl line 2 = text: b',
      '2.jsonl.gz line 1 = text: a',
      '2.jsonl.gz line 2 = text: b',
      '3.json record 1 = text: c',
      '4.txt = text: d',
      '5.md.gz = markdown: # e',
      '6.html = html: <p>f</p>',
    ]
    expect(await brief(read(paths))).toEqual(expected)
    expect(await brief(read([folder]))).toEqual(expected)
  })

  it('tells a file without a telling ending by its first bytes', async () => {
    await file('a', '{"text":"a"}\n')
    await file('b.dat', gzipSync('[\n{"text":"b"}]'))
    await file('c', '<html></html>')
    await file('d.log', 'words')
    expect(await brief(read([folder]))).toEqual([
      'a line 1 = text: a',
      'b.dat record 1 = text: b',
      'c = html: <html></html>',
      'd.log = text: words',
    ])
  })

  it('reads every file as the format that is named', async () => {
    const path = await file('a.json', '{"text":"a"}')
    expect(await brief(read([path], { format: 'text' }))).toEqual(['a.json = text: {"text":"a"}'])
    await expect(brief(read([path], { format: 'txt' }))).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('refuses binary files by name, and goes on', async () => {
    await file('a.txt', Buffer.from('%PDF-1.7 …'))
    await file('b.jsonl', 'a\0b')
    await file('c.gz', gzipSync(gzipSync('x')))
    await file('d.html', Buffer.from('\ufeffhello', 'utf16le'))
    await file('e.txt', 'e')
    expect(await brief(read([folder]))).toEqual([
      'INPUT_NOT_TEXT a.txt: no text but a PDF file, by its first bytes',
      'INPUT_NOT_TEXT b.jsonl: no text: byte 1 is NUL',
      'INPUT_NOT_TEXT c.gz: no text but packed twice with gzip, by its first bytes',
      'INPUT_NOT_UTF8 d.html: text in UTF-16, by its byte order mark',
      'e.txt = text: e',
    ])
  })

  it('gives the lines before the end of a cut file, then the fault with the byte', async () => {
    const lines = Array.from({ length: 5000 }, (_, number) => `{"text":"${number} ${Math.sin(number)}"}\n`).join('')
    const packed = gzipSync(lines)
    const path = await file('a.jsonl.gz', packed.subarray(0, packed.length / 2))
    const events = await Array.fromAsync(read([path, await file('b.txt', 'b')]))
    expect(events.length).toBeGreaterThan(2000)
    expect(events.at(-1)).toMatchObject({ kind: 'item', content: 'b' })
    expect(events.at(-2)).toMatchObject({ code: 'INPUT_CUT', source: `${path} byte ${Math.floor(packed.length / 2)}` })
    expect(events.slice(0, -2).every(event => event.kind === 'item')).toBe(true)
    expect(await brief(read([await file('empty.jsonl.gz', '')]))).toEqual([
      'INPUT_CUT empty.jsonl.gz byte 0: gzip: the file ends within the header',
    ])
  })

  it('takes an empty file for an empty document where its name tells a format, else for nothing', async () => {
    await file('a.html', '')
    await file('b.jsonl', '')
    await file('c', '')
    expect(await brief(read([folder]))).toEqual(['a.html = html: '])
    expect(await brief(read(['/dev/null']))).toEqual([])
  })

  it('reads a named pipe, and ends when it is aborted before a writer comes', async () => {
    const path = join(folder, 'pipe')
    execFileSync('mkfifo', [path])
    const events = read([path])
    const first = events.next()
    const writer = await open(path, 'w')
    await writer.write('{"text":"a"}\n{"te')
    expect((await first).value).toMatchObject({ content: 'a', source: `${path} line 1` })
    await writer.write('xt":"b"}\n')
    expect((await events.next()).value).toMatchObject({ content: 'b' })
    await writer.close()
    expect((await events.next()).done).toBe(true)

    const controller = new AbortController()
    const silent = read([path], {}, controller.signal).next()
    controller.abort()
    expect((await silent).done).toBe(true)
  })

  it('names a missing path and reads the others', async () => {
    expect(await brief(read([join(folder, 'no.txt'), await file('a.txt', 'a'), join(folder, 'a.txt', 'b')]))).toEqual([
      'INPUT_UNREADABLE no.txt: no such file or folder',
      'a.txt = text: a',
      'INPUT_UNREADABLE a.txt/b: a part of the path is no folder',
    ])
  })

  it('names a folder and a file without rights and reads the others', async () => {
    await mkdir(join(folder, 'closed'))
    await file('closed/in.txt', 'in')
    await file('open.txt', 'open')
    await chmod(await file('secret.txt', 'secret'), 0)
    await chmod(join(folder, 'closed'), 0)
    await chmod(folder, 0o755)
    const reader = pathToFileURL('streams/inputs/read-inputs.ts').href
    const script = `
      const { defaultInputOptions, readInputs } = await import('${reader}')
      const options = { ...defaultInputOptions, stdin: [] }
      for await (const event of readInputs([process.argv[1]], options, new AbortController().signal)) {
        console.log(event.kind, event.kind === 'item' ? event.content : event.error.message)
      }`
    const command = [process.execPath, '--input-type=module', '-e', script, folder]
    // Root may read everything.
    if (process.getuid?.() === 0) command.unshift('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups')
    const [program = '', ...rest] = command
    const output = execFileSync(program, rest, { encoding: 'utf8' })
    expect(output.replaceAll(`${folder}/`, '').trim().split('\n')).toEqual([
      'unreadable closed: no right to read it',
      'item open',
      'unreadable secret.txt: no right to read it',
    ])
  })
})

describe('readInputs from stdin', () => {
  it.each([
    ['{"text":"a"}\n{"text":"b"}', ['stdin line 1 = text: a', 'stdin line 2 = text: b']],
    ['{\n "text": "a"\n}\n', ['stdin = text: a']],
    ['[{"text":"a"}]', ['stdin record 1 = text: a']],
    ['  <p>a</p>', ['stdin = html:   <p>a</p>']],
    ['two\nlines', ['stdin = text: two\nlines']],
    ['', []],
  ])('detects %j', async (content, expected) => {
    for (const size of [1, 3, 1000])
      expect(await brief(read(['-'], { stdin: chunksOf(content, size) }))).toEqual(expected)
    expect(await brief(read(['-'], { stdin: chunksOf(gzipSync(content), 5) }))).toEqual(expected)
  })

  it('gives each line as soon as its newline is there', async () => {
    const stdin = new PassThrough()
    const events = read(['-'], { stdin })
    for (const text of ['a', 'b', 'c']) {
      stdin.write(`{"text":"${text}"}\n{"te`)
      expect((await events.next()).value).toMatchObject({ content: text })
      stdin.write('xt":"rest"}\n')
      expect((await events.next()).value).toMatchObject({ content: 'rest' })
    }
    stdin.end()
    expect((await events.next()).done).toBe(true)
  })

  it('ends at once when it is aborted while stdin is silent, and leaves stdin', async () => {
    const stdin = new PassThrough()
    const controller = new AbortController()
    const events = read(['-'], { stdin }, controller.signal)
    stdin.write('{"text":"a"}\n{"text":"b"}\n{"text":"part')
    expect((await events.next()).value).toMatchObject({ content: 'a' })
    expect((await events.next()).value).toMatchObject({ content: 'b' })
    const silent = events.next()
    controller.abort()
    expect((await silent).done).toBe(true)
    expect(stdin.destroyed).toBe(true)
  })

  it('reads no further than one chunk ahead', async () => {
    let given = 0
    async function* stdin() {
      for (; given < 100; given++) yield Buffer.from('{"text":"a"}\n')
    }
    const events = read(['-'], { stdin: stdin() })
    for (let taken = 1; taken <= 5; taken++) {
      await events.next()
      expect(given).toBeLessThanOrEqual(taken)
    }
    await events.return(undefined)
  })

  it('reports stdin that fails behind what it gave', async () => {
    async function* stdin() {
      yield Buffer.from('{"text":"a"}\n')
      throw new Error('the pipe broke')
    }
    expect(await brief(read(['-'], { stdin: stdin() }))).toEqual([
      'stdin line 1 = text: a',
      'INPUT_UNREADABLE stdin: the pipe broke',
    ])
  })

  it('refuses to read stdin twice', async () => {
    await expect(brief(read(['-', '-']))).rejects.toMatchObject({ code: 'USAGE' })
  })
})
