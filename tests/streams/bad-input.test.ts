import { chmodSync, cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FakeProvider } from '../fake-provider.ts'
import {
  type Finished,
  mustSitu,
  removeFolder,
  Situ,
  type SituOptions,
  situ,
  temporaryFolder,
} from '../support/situ.ts'

/** Root may read and write everything: nobody does not. */
const nobody: Pick<SituOptions, 'uid'> = process.getuid?.() === 0 ? { uid: 65_534 } : {}
const text = 'The river was measured before noon, and again after it, by the keeper of the lock. '.repeat(8)

let folder: string
/** A folder with a record in each topic; never written to. */
let data: string

beforeAll(async () => {
  folder = temporaryFolder()
  chmodSync(folder, 0o755)
  data = join(folder, 'data')
  await mustSitu(['ingest', path('river.txt', text), '--data', data])
  await mustSitu(['run', '--model', 'stand-in', '--data', data])
}, 60_000)

afterAll(() => removeFolder(folder))

function path(name: string, content?: string | Buffer): string {
  const file = join(folder, name)
  if (content !== undefined) writeFileSync(file, content)
  return file
}

function copyOfData(name: string): string {
  const copy = join(folder, name)
  cpSync(data, copy, { recursive: true })
  return copy
}

/** One line that says what is wrong, one that says what to do, and no stack; log lines aside. */
function expectError({ code, stderr }: Finished, wanted: number, errorCode: string, ...named: string[]): void {
  const lines = stderr.split('\n').filter(line => line !== '' && !line.startsWith('{'))
  expect([code, lines.length, stderr]).toEqual([wanted, 2, stderr])
  expect(lines[0]).toMatch(/^situ: /)
  expect(lines[1]).toMatch(new RegExp(`^ {2}${errorCode}: .+\\.$`))
  for (const part of named) expect(lines[0]).toContain(part)
}

describe('an unknown name or value', () => {
  it.each<[string[], string, ...string[]]>([
    [['tap', 'instructoin'], 'TOPIC_UNKNOWN', 'instructoin', 'did you mean instruction?'],
    [['export', 'dedupd', '--out', '-'], 'TOPIC_UNKNOWN', 'dedupd', 'did you mean deduped?'],
    [['run', 'extrat'], 'USAGE', 'extrat', 'did you mean extract?'],
    [['prompt', 'show', 'situat'], 'USAGE', 'did you mean situate?'],
    [['run', '--prompt', 'instrct=x.md', '--model', 'stand-in'], 'USAGE', 'did you mean instruct?'],
    [['failed', 'lst'], 'USAGE', 'lst', 'did you mean list?'],
    [['ingst'], 'USAGE', 'did you mean ingest?'],
    [['run', '--concurency', '3'], 'USAGE', '--concurency', 'did you mean --concurrency?'],
    [['ingest', '--format', 'jsnol'], 'CONFIGURATION_INVALID', '"jsnol"', 'did you mean jsonl?'],
    [['ingest', '--as', 'artcle'], 'CONFIGURATION_INVALID', '"artcle"', 'did you mean article?'],
    [['failed', '--code', 'MODEL_TIMEOT'], 'CONFIGURATION_INVALID', 'did you mean MODEL_TIMEOUT?'],
    [['run', '--log-level', 'loud'], 'CONFIGURATION_INVALID', '"loud"', 'info'],
    [['run', '--limit', '0'], 'CONFIGURATION_INVALID', '--limit', '"0"', 'at least 1'],
    [['tap', 'deduped', '--limit', '-1'], 'CONFIGURATION_INVALID', '--limit', '"-1"'],
    [['run', '--concurrency', '0'], 'CONFIGURATION_INVALID', '--concurrency', '"0"', '1 to 1024'],
    [['run', '--concurrency', 'many'], 'CONFIGURATION_INVALID', '--concurrency', '"many"'],
    [['export', 'deduped'], 'CONFIGURATION_INVALID', '--out is missing'],
    [['export', 'deduped', '--out', 'x.parquet'], 'USAGE', 'x.parquet'],
    [['tap', 'deduped', '--from', '-1'], 'USAGE', '--from -1'],
    [['tap', 'deduped', '--from', 'May'], 'USAGE', '--from May'],
    [['tap', 'deduped', '--where', '$error("odd")'], 'USAGE', 'odd'],
    [['trace', 'no-such-id'], 'USAGE', 'no-such-id'],
    [['failed', 'show', 'no-such-id'], 'USAGE', 'no-such-id'],
    [['ingest', '-', '-'], 'USAGE', 'stdin'],
    [['run', '--follow', '--until-idle', '--model', 'stand-in'], 'USAGE', '--until-idle'],
  ])('%j exits 2 and names it', async (words, code, ...named) => {
    expectError(await situ([...words, '--data', data], { input: '' }), 2, code, ...named)
  })

  it.each([
    ['concurency: 3', 'unknown key concurency: did you mean concurrency?'],
    ['operators: { situat: {} }', 'did you mean situate?'],
    ['operators: { extract: { minimumCharacter: 3 } }', 'did you mean minimumCharacters?'],
    ['models: { big: { model: x, baseURL: "http://127.0.0.1" } }', 'did you mean baseUrl?'],
    ['- a list', 'a list'],
    ['just words', 'string'],
    ['concurrency: [', 'Flow sequence'],
    ['\u0000\u0001', ''],
  ])('the configuration file %j exits 2', async (content, named) => {
    const config = path('faulty.yaml', content)
    expectError(await situ(['topics', '--config', config, '--data', data]), 2, 'CONFIGURATION_INVALID', config, named)
  })

  it.each([
    ['# system\nx {{nothing}}\n\n# user\n{{document}}\n', '{{nothing}}'],
    ['# system\nx\n\n# user\nno placeholder\n', '{{document}} is missing'],
  ])('the prompt %j exits 2 in a run and in a check', async (content, named) => {
    const prompt = path('faulty.md', content)
    const words = ['run', '--model', 'stand-in', '--prompt', `instruct=${prompt}`]
    expectError(await situ([...words, '--data', data]), 2, 'PROMPT_INVALID', 'instruct', named)
    const config = path('prompt.yaml', `operators: { instruct: { prompt: ${prompt} } }`)
    const { code, stdout } = await situ(['check', '--no-call', '--config', config, '--data', data])
    expect([code, stdout]).toEqual([2, expect.stringContaining(named)])
  })

  it('names a model that is not configured, or whose key is missing', async () => {
    const config = path('models.yaml', 'models: { big: { model: x, apiKeyVariable: NO_KEY_HERE } }')
    const run = (model: string) => situ(['run', '--config', config, '--model', model, '--data', data])
    expectError(await run('bgi'), 2, 'CONFIGURATION_INVALID', 'bgi', 'did you mean big?')
    expectError(await run('big'), 2, 'CONFIGURATION_INVALID', 'big', 'NO_KEY_HERE')
    const { code, stdout } = await situ(['check', '--config', config, '--model', 'big', '--data', data])
    expect([code, stdout.match(/^PROBLEM/gm)?.length]).toEqual([2, 2])
  })
})

describe('what can not be opened', () => {
  it('is named, and the other paths are read', async () => {
    const target = join(folder, 'other-paths')
    const words = ['ingest', path('nowhere.txt'), path('nor-here.txt'), path('good.txt', text), '--data', target]
    const finished = await situ(words)
    expectError(finished, 1, 'INPUT_UNREADABLE', 'nowhere.txt: no such file', '1 more')
    expect(finished.stdout).toContain('1 read: 1 new')
  })

  it('is a folder or file without rights', async () => {
    const locked = join(folder, 'locked')
    mkdirSync(locked)
    writeFileSync(join(locked, 'a.txt'), text)
    chmodSync(locked, 0)
    const open = join(folder, 'open')
    mkdirSync(open)
    chmodSync(open, 0o777)
    const secret = path('secret.yaml', 'strict: true')
    chmodSync(secret, 0)
    const as = (...words: string[]) => situ(words, nobody)
    expectError(await as('ingest', locked, '--data', join(open, 'd')), 1, 'INPUT_UNREADABLE', locked, 'no right')
    expectError(await as('ingest', secret, '--data', join(open, 'd')), 1, 'INPUT_UNREADABLE', secret, 'no right')
    expectError(await as('topics', '--config', secret, '--data', data), 1, 'INPUT_UNREADABLE', secret)
    expectError(await as('topics', '--data', join(locked, 'd')), 1, 'DATA_UNREADABLE', locked)
    expectError(await as('ingest', path('good.txt'), '--data', join(locked, 'd')), 1, 'DATA_UNREADABLE', locked)
    expectError(await as('demo', '--data', join(locked, 'd')), 1, 'DATA_UNREADABLE', locked)
    expectError(
      await as('export', 'deduped', '--out', join(locked, 'x.jsonl'), '--data', data),
      1,
      'OUTPUT_UNWRITABLE',
      locked,
    )
    const mine = copyOfData('read-only')
    for (const name of ['', 'situ.db', 'locks']) chmodSync(join(mine, name), name === 'situ.db' ? 0o444 : 0o555)
    if (nobody.uid !== undefined) expectError(await as('run', 'extract', '--data', mine), 1, 'DATA_UNREADABLE', mine)
    chmodSync(locked, 0o755)
    chmodSync(mine, 0o755)
  })

  it.each([
    ['a prompt', ['run', '--model', 'stand-in', '--prompt', 'instruct=nowhere.md'], 'INPUT_UNREADABLE', 'nowhere.md'],
    ['a configuration file', ['topics', '--config', 'nowhere.yaml'], 'INPUT_UNREADABLE', 'nowhere.yaml'],
    ['an export in no folder', ['export', 'deduped', '--out', '/nowhere/x.jsonl'], 'OUTPUT_UNWRITABLE', '/nowhere/'],
  ])('is %s', async (_, words, code, named) => {
    expectError(await situ([...words, '--data', data], { cwd: folder }), 1, code, named)
  })

  it('is a data folder that is a file, not there, or not ours', async () => {
    const file = path('a-file', 'x')
    expectError(await situ(['topics', '--data', file]), 1, 'DATA_UNREADABLE', file)
    expectError(await situ(['ingest', path('good.txt', text), '--data', file]), 1, 'DATA_UNREADABLE', file)
    expect(readFileSync(file, 'utf8')).toBe('x')
    expectError(await situ(['tap', 'page', '--data', join(folder, 'no-data')]), 1, 'DATA_UNREADABLE', 'no-data')
    expectError(await situ(['demo', '--data', data]), 2, 'USAGE', data)
  })

  it('is a data folder of a newer version', async () => {
    const newer = copyOfData('newer')
    const sqlite = new DatabaseSync(join(newer, 'situ.db'))
    sqlite.exec('PRAGMA user_version = 99')
    sqlite.close()
    for (const words of [
      ['topics'],
      ['run', 'extract'],
      ['tap', 'page'],
      ['failed', 'retry'],
      ['ingest', path('good.txt')],
    ]) {
      expectError(await situ([...words, '--data', newer]), 1, 'DATA_VERSION', newer, '99')
    }
    expect((await situ(['check', '--no-call', '--data', newer])).code).toBe(1)
  })

  it('is a damaged or foreign situ.db', async () => {
    const damaged = copyOfData('damaged')
    const file = join(damaged, 'situ.db')
    const bytes = readFileSync(file)
    bytes.fill(0x41, 4096)
    writeFileSync(file, bytes)
    const cut = copyOfData('cut')
    truncateSync(join(cut, 'situ.db'), 5_000)
    const foreign = join(folder, 'foreign')
    mkdirSync(foreign)
    writeFileSync(join(foreign, 'situ.db'), 'This is no database at all. '.repeat(50))
    for (const broken of [damaged, cut, foreign]) {
      for (const words of [['topics'], ['run', 'extract'], ['tap', 'deduped']]) {
        expectError(await situ([...words, '--data', broken]), 1, 'DATA_CORRUPT', broken)
      }
    }
  })
})

describe('an endpoint that can not be reached', () => {
  const run = (baseUrl: string, target: string, ...more: string[]) =>
    situ(['run', '--yes', '--model', 'any', '--accept-change', '--backoff-ms', '1', '--data', target, ...more], {
      env: { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: 'sk-key-of-the-test' },
    })

  it('ends a check with 1, and a base URL that is none ends both with 2', async () => {
    const fresh = join(folder, 'endpoint')
    await mustSitu(['ingest', path('endpoint.txt', text), '--data', fresh])
    expectError(await run('not a url', fresh), 2, 'CONFIGURATION_INVALID', 'base URL')
    const env = { OPENAI_BASE_URL: 'http://127.0.0.1:1/v1', OPENAI_API_KEY: 'sk-key-of-the-test' }
    const { code, stdout } = await situ(['check', '--model', 'any', '--data', fresh], { env })
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^PROBLEM {2}model any of environment: .*no connection/m)])
  })

  it('that takes connections and is silent ends the run after three calls, with no dead letter', async () => {
    const target = join(folder, 'silent')
    await mustSitu(['ingest', path('silent.txt', text), '--data', target])
    const server = await silentServer()
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`
    const finished = await run(url, target, '--model-timeout-seconds', '1', '--max-attempts', '2')
    server.close()
    expect(finished.code).toBe(1)
    expect(finished.stderr).toMatch(/^situ: .* never answered, 3 calls failed; .* no answer within 1000 ms$/m)
    expect(finished.stderr).toContain('MODEL_NEVER_ANSWERED')
    const { topics, conservation } = JSON.parse(
      (await mustSitu(['topics', '--verify', '--json', '--data', target])).stdout,
    )
    expect([topics.failed.records, conservation]).toEqual([0, 'ok'])
  })

  it('ends a check of a wrong key with 1 and does not show the key', async () => {
    await using provider = await FakeProvider.start(() => ({ kind: 'status', status: 401 }))
    const env = { OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: 'sk-key-of-the-test' }
    const { code, stdout, stderr } = await situ(['check', '--model', 'any', '--data', data], { env })
    expect([code, stdout]).toEqual([1, expect.stringContaining('status 401')])
    expect(stdout + stderr).not.toContain('sk-key')
  })
})

async function silentServer(): Promise<Server> {
  const server = createServer(socket => socket.unref())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

describe('a fault inside an input', () => {
  const good = (word: string) => JSON.stringify({ text: `${word} ${text}` })

  it('of every kind exits 0, or 1 with --strict, again too, and loses nothing', async () => {
    const lines = [good('first'), 'no json', '[1]', 'null', '{"other":1}', '{"text":5}', good('last'), '']
    const file = path(
      'faults.jsonl',
      Buffer.concat([Buffer.from('{"text":"\xff"}\n', 'latin1'), Buffer.from(lines.join('\n'))]),
    )
    const target = join(folder, 'faults')
    const words = ['ingest', file, '--data', target]
    for (const [strict, wanted] of [
      [[], 0],
      [[], 0],
      [['--strict'], 1],
    ] as const) {
      const { code, stdout, stderr } = await situ([...words, ...strict])
      expect([code, stdout]).toEqual([wanted, expect.stringContaining('inputs with a fault: 6; situ failed tells why')])
      for (const line of [1, 3, 4, 5, 6, 7]) expect(stderr).toContain(`faults.jsonl line ${line}:`)
    }
    const { topics, conservation } = JSON.parse(
      (await mustSitu(['topics', '--verify', '--json', '--data', target])).stdout,
    )
    expect([topics.page.records, topics.failed.records, conservation]).toEqual([2, 6, 'ok'])
  })

  it('is a line of 100 MB: it is named, the rest goes on, and memory stays small', async () => {
    const target = join(folder, 'large')
    const ingest = new Situ(['ingest', '-', '--data', target])
    const write = async (chunk: string) => {
      if (!ingest.child.stdin?.write(chunk)) await new Promise(resolve => ingest.child.stdin?.once('drain', resolve))
    }
    await write(`${good('before')}\n{"text":"`)
    const chunk = 'x'.repeat(1024 * 1024)
    for (let written = 0; written < 100; written++) await write(chunk)
    await write(`"}\n${good('after')}\n`)
    ingest.child.stdin?.end()
    const { code, stdout, stderr, peakMegabytes } = await ingest.done
    expect([code, stdout]).toEqual([0, expect.stringContaining('3 read: 2 new, 0 already there, 1 failed')])
    expect(stderr).toContain('line 2: 104857611 bytes are more than the limit')
    expect(peakMegabytes).toBeLessThan(400)
  })

  it('is none in an empty input', async () => {
    const target = join(folder, 'empty')
    const { code, stdout } = await situ(['ingest', '-', '--strict', '--data', target], { input: '' })
    expect([code, stdout]).toEqual([0, '0 read: 0 new, 0 already there, 0 failed\n'])
    await mustSitu(['run', '--model', 'stand-in', '--data', target])
    expect((await mustSitu(['topics', '--verify', '--data', target])).stdout).toContain('conservation ok')
  })
})

describe('two runs on one folder', () => {
  it('share the work: the second names what is held', async () => {
    const target = copyOfData('shared')
    const first = new Situ(['run', '--follow', '--model', 'stand-in', '--log-level', 'debug', '--data', target])
    await first.printed(({ stderr }) => stderr.split('"task taken"').length >= 6)
    const { code, stdout } = await situ(['run', '--model', 'stand-in', '--data', target])
    expect([code, stdout]).toEqual([0, expect.stringContaining('held by another worker: main-extract-0')])
    expect(stdout).toContain('no task was free')
    first.child.kill('SIGINT')
    expect((await first.done).code).toBe(130)
  })
})
