import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../services/ports.ts'
import { hasSharedData, sharedData } from '../support/documents.ts'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'

let folder: string
let demo: string

beforeAll(async () => {
  folder = temporaryFolder()
  demo = join(folder, 'demo')
  await mustSitu(['demo', '--data', demo])
}, 120_000)

afterAll(() => removeFolder(folder))

function path(name: string, content?: string | Buffer): string {
  const file = join(folder, name)
  if (content !== undefined) writeFileSync(file, content)
  return file
}

async function linesOf(words: readonly string[]): Promise<Record<string, never>[]> {
  const { stdout } = await mustSitu(words)
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

const page = (text: string, more: object = {}) => JSON.stringify({ url: 'https://example.org/a', text, ...more })
const longText = (topic: string) =>
  Array.from(
    { length: 20 },
    (_, number) => `The ${topic} was measured ${number} times before noon, and ${number + 3} after it.`,
  ).join(' ')

async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 10))
}

describe('situ demo', () => {
  it('ends with at least 20 instructions, tells that the stand-in is no language model, and its sums hold', async () => {
    const { code, stdout, stderr } = await situ(['demo', '--data', demo])
    expect(code).toBe(0)
    expect(stdout).toContain('no language model')
    expect(stdout).toContain('conservation ok')
    expect(stdout.match(/^instruction:$/gm)).toHaveLength(3)
    expect(stderr).not.toMatch(/warn|Warning/)
    const { topics } = JSON.parse((await mustSitu(['topics', '--json', '--data', demo])).stdout)
    expect(topics.deduped.records).toBeGreaterThanOrEqual(20)
  })

  it('leaves a folder alone that is no demo', async () => {
    const other = path('other')
    mkdirSync(other)
    writeFileSync(join(other, 'mine.txt'), 'mine')
    expect(await situ(['demo', '--data', other])).toMatchObject({ code: 2, stderr: expect.stringContaining(other) })
    expect(readFileSync(join(other, 'mine.txt'), 'utf8')).toBe('mine')
  })

  it('takes no model from the environment', async () => {
    const { code, stdout } = await situ(['demo', '--data', demo], {
      env: { SITU_MODEL: 'big', OPENAI_BASE_URL: 'http://127.0.0.1:9' },
    })
    expect([code, stdout.includes('stand-in')]).toEqual([0, true])
  })
})

describe('situ topics', () => {
  it('prints the agreed shape', async () => {
    const status = JSON.parse((await mustSitu(['topics', '--verify', '--json', '--data', demo])).stdout)
    expect(status).toMatchObject({ conservation: 'ok', differences: [] })
    expect(status.topics.deduped).toMatchObject({ records: expect.any(Number), bytes: expect.any(Number) })
    for (const counters of Object.values(status.operators) as Record<string, unknown>[]) {
      expect(Object.keys(counters)).toEqual(
        expect.arrayContaining(['in', 'done', 'out', 'dropped', 'failed', 'retried', 'inFlight', 'lag']),
      )
    }
    expect(Object.keys(status.operators)).toEqual([
      'ingest',
      'extract',
      'dedupe-document',
      'situate',
      'instruct',
      'dedupe-instruction',
    ])
  })
})

describe('situ tap', () => {
  it('prints one object a line, with the agreed keys', async () => {
    const [line] = await linesOf(['tap', 'deduped', '--limit', '1', '--data', demo])
    expect(Object.keys(line ?? {})).toEqual(['topic', 'partition', 'offset', 'key', 'timestamp', 'value'])
    expect(line).toMatchObject({ topic: 'deduped', value: { provenance: { model: 'stand-in' } } })
  })

  it('keeps the nesting of fields and takes what is asked for, from where it is asked', async () => {
    const { stdout } = await mustSitu([
      'tap',
      'deduped',
      '--fields',
      'value.id,offset',
      '--from',
      '3',
      '--limit',
      '2',
      '--data',
      demo,
    ])
    expect(stdout.split('\n')[0]).toMatch(/^\{"value":\{"id":"[0-9a-f]{32}"\},"offset":3\}$/)
    const dropped = await linesOf(['tap', 'dropped', '--where', "value.reason = 'empty'", '--data', demo])
    expect(dropped).toHaveLength(1)
    expect(await linesOf(['tap', 'deduped', '--from', 'latest', '--data', demo])).toEqual([])
    expect((await linesOf(['tap', 'deduped', '--from', '2020-01-01', '--data', demo])).length).toBeGreaterThan(20)
  })

  it('ends quietly when its reader goes away', async () => {
    const tap = new Situ(['tap', 'page', '--follow', '--data', demo])
    await tap.printed(({ stdout }) => stdout.length > 0)
    tap.child.stdout?.destroy()
    await mustSitu(['ingest', path('wake.txt', longText('wake')), '--data', demo])
    const { code, stderr } = await tap.done
    expect([code, stderr]).toEqual([0, ''])
  })

  it.each([
    [['tap', 'dedupd'], 'did you mean deduped?'],
    [['tap', 'deduped', '--from', 'yesterday'], 'yesterday'],
    [['tap', 'deduped', '--where', 'value.('], 'value.('],
    [['tap', 'deduped', '--limt', '3'], 'did you mean --limit?'],
    [['tap', 'deduped', '--limit', 'many'], '--limit'],
    [['run', 'situat'], 'did you mean situate?'],
    [['rnu'], 'did you mean run?'],
    [['trace', 'nothing'], 'nothing'],
    [['prompt', 'show', 'extract'], 'extract'],
    [['run', '--model', 'bg'], 'bg'],
    [['run', '--prompt', 'instruct'], 'OPERATOR=FILE'],
    [['export', 'deduped', '--out', 'x.unknown'], 'x.unknown'],
  ])('%j exits 2 and names what is wrong', async (words, named) => {
    const { code, stderr } = await situ([...words, '--data', demo])
    expect([code, stderr]).toEqual([2, expect.stringContaining(named)])
  })
})

describe('situ trace', () => {
  it('shows the way back to the page and forward to what became of it', async () => {
    const [line] = await linesOf(['tap', 'instruction', '--limit', '1', '--data', demo])
    const { id } = (line as unknown as { value: { id: string } }).value
    const { back, record, forward } = JSON.parse((await mustSitu(['trace', id, '--json', '--data', demo])).stdout)
    expect(back.map(({ topic }: { topic: string }) => topic)).toEqual(['page', 'article', 'document', 'situation'])
    expect(record).toMatchObject({ topic: 'instruction', id })
    expect(forward).toMatchObject([{ topic: 'deduped', children: [] }])
    const { stdout } = await mustSitu(['trace', back[0].id, '--data', demo])
    expect(stdout).toContain(id)
  })

  it('makes the messages again as they were sent', async () => {
    const [line] = await linesOf(['tap', 'instruction', '--limit', '1', '--data', demo])
    const { id } = (line as unknown as { value: { id: string } }).value
    const { code, stdout, stderr } = await situ(['trace', id, '--prompt', '--data', demo])
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject([{ role: 'system' }, { role: 'user' }])
  })
})

describe('situ run', () => {
  it('needs a model for some operators, names the stand-in, and needs none for extract', async () => {
    const data = path('needs')
    await mustSitu(['ingest', path('one.txt', longText('river')), '--data', data])
    expect(await situ(['run', '--data', data])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--model stand-in'),
    })
    await mustSitu(['run', 'extract', '--data', data])
  })

  it('stops where a prompt has changed, shows both hashes, and an old record still tells what was sent', async () => {
    const data = path('changed')
    await mustSitu(['ingest', path('lake.txt', longText('lake')), '--data', data])
    await mustSitu(['run', '--model', 'stand-in', '--data', data])
    const { stdout: text } = await mustSitu(['prompt', 'show', 'instruct', '--data', data])
    const before = /hash ([0-9a-f]{32})/.exec(text)?.[1] ?? ''
    const prompt = path('instruct.md', text.replace('You write the message', 'You write one message'))
    const copy = path('copy.md', text)
    await mustSitu(['run', '--model', 'stand-in', '--data', data, '--prompt', `instruct=${copy}`])
    const words = ['run', '--model', 'stand-in', '--data', data, '--prompt', `instruct=${prompt}`]
    const { code, stderr } = await situ(words)
    expect(code).toBe(2)
    expect(stderr).toContain(before)
    expect(stderr).toMatch(/prompt was "[0-9a-f]{32}", is "[0-9a-f]{32}"/)
    expect(stderr).toContain('--accept-change')
    const [old] = await linesOf(['tap', 'instruction', '--data', data])
    await mustSitu(['ingest', path('sea.txt', longText('sea')), '--data', data])
    await mustSitu([...words, '--accept-change'])
    const { id } = (old as unknown as { value: { id: string } }).value
    expect((await mustSitu(['trace', id, '--prompt', '--data', data])).stdout).toContain('You write the message')
    const [, made] = await linesOf(['tap', 'instruction', '--data', data])
    const { id: newer } = (made as unknown as { value: { id: string } }).value
    expect((await mustSitu(['trace', newer, '--prompt', '--data', data])).stdout).toContain('You write one message')
  })

  it('does not take concurrency, order or latency for a change', async () => {
    const words = ['run', '--model', 'stand-in', '--data', demo, '--concurrency', '3', '--ordered']
    expect(await situ(words, { env: { SITU_STAND_IN_LATENCY_MS: '1' } })).toMatchObject({ code: 0 })
  })

  it('gives the same ids in every topic with --ordered on fresh folders', async () => {
    const ids: string[][] = []
    const input = path(
      'ordered.jsonl',
      Array.from({ length: 40 }, (_, number) => `${page(`${longText(`stone ${number % 30}`)} ${number % 30}`)}\n`).join(
        '',
      ),
    )
    for (const name of ['first', 'second']) {
      const data = path(name)
      await mustSitu(['ingest', input, '--data', data])
      await mustSitu(['run', '--model', 'stand-in', '--ordered', '--data', data], {
        env: { SITU_STAND_IN_LATENCY_MS: '20' },
      })
      const found: string[] = []
      for (const topic of ['page', 'article', 'document', 'situation', 'instruction', 'deduped', 'dropped']) {
        for (const line of await linesOf(['tap', topic, '--fields', 'topic,key', '--data', data]))
          found.push(JSON.stringify(line))
      }
      ids.push(found)
    }
    expect(ids[0]?.length).toBeGreaterThan(150)
    expect(ids[1]).toEqual(ids[0])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 0],
  ] as const)('drains on %s and exits %d, and the next run does the rest', async (signal, wanted) => {
    const data = path(signal)
    const input = path(
      `${signal}.jsonl`,
      Array.from({ length: 30 }, (_, number) => `${page(longText(`hill ${number}`))}\n`).join(''),
    )
    await mustSitu(['ingest', input, '--data', data])
    const running = new Situ(['run', '--model', 'stand-in', '--log-level', 'debug', '--data', data], {
      env: { SITU_STAND_IN_LATENCY_MS: '300' },
    })
    await running.printed(({ stderr }) => stderr.includes('"model call"'))
    running.child.kill(signal)
    const { code, stderr } = await running.done
    expect([code, code === wanted ? '' : stderr.slice(-2000)]).toEqual([wanted, ''])
    expect(stderr.split('"model reply"').length).toBe(stderr.split('"model call"').length)
    await mustSitu(['run', '--model', 'stand-in', '--data', data])
    const { topics, conservation } = JSON.parse(
      (await mustSitu(['topics', '--verify', '--json', '--data', data])).stdout,
    )
    expect([topics.instruction.records, conservation]).toEqual([30, 'ok'])
  })

  it('has one line for a port that answers nothing, exits 1 and loses nothing', async () => {
    const data = path('closed')
    const [port] = await freePorts(1)
    await mustSitu(['ingest', path('closed.txt', longText('port')), '--data', data])
    const env = { OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`, OPENAI_API_KEY: 'sk-secret-of-the-test' }
    const { code, stderr } = await situ(['run', '--yes', '--model', 'any', '--backoff-ms', '10', '--data', data], {
      env,
    })
    expect(code).toBe(1)
    expect(stderr.match(/^situ: /gm)).toHaveLength(1)
    expect(stderr).toContain('MODEL_NEVER_ANSWERED')
    expect(stderr).not.toContain('sk-secret')
    const { topics, conservation } = JSON.parse((await mustSitu(['topics', '--json', '--data', data])).stdout)
    expect([topics.failed.records, conservation]).toEqual([0, 'ok'])
    await mustSitu(['run', '--model', 'stand-in', '--accept-change', '--data', data])
  })
})

describe('situ ingest', () => {
  it('says so where the globs match nothing', async () => {
    const input = path('lines.jsonl', page('one'))
    const words = ['ingest', dirname(input), '--include', '**/*.nothing', '--data', path('nothing')]
    const { code, stdout } = await situ(words)
    expect([code, stdout]).toEqual([0, expect.stringContaining('does **/*.nothing match a file?')])
  })

  it('counts what is there already, and keeps one page of equal content', async () => {
    const data = path('repeat')
    const input = path(
      'repeat.jsonl',
      [page('one', { url: 'https://example.org/1' }), page('one'), page('two')].join('\n'),
    )
    expect((await mustSitu(['ingest', input, '--data', data])).stdout).toContain(
      '3 read: 2 new, 1 already there, 0 failed',
    )
    expect((await mustSitu(['ingest', input, '--data', data])).stdout).toContain(
      '3 read: 0 new, 3 already there, 0 failed',
    )
    const pages = await linesOf(['tap', 'page', '--data', data])
    expect(pages).toHaveLength(2)
    expect(pages[0]).toMatchObject({ value: { url: 'https://example.org/1' } })
  })

  it('keeps what it can read of bad input, names the rest, and exits 1 with --strict', async () => {
    const data = path('bad')
    const bad = path('bad.jsonl', `${page('good one')}\nnot json\n${page('good two')}\n`)
    const cut = path('cut.jsonl.gz', gzipSync(`${page('good three')}\n`.repeat(50)).subarray(0, 60))
    const binary = path('binary.bin', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3]))
    const latin = path('latin.txt', Buffer.from('caf\xe9 au lait', 'latin1'))
    const words = ['ingest', bad, cut, binary, latin, '--data', data]
    const { code, stdout, stderr } = await situ(words)
    expect(code).toBe(0)
    expect(stdout).toContain('4 failed')
    expect(stderr).toContain('bad.jsonl line 2')
    const letters = await linesOf(['failed', 'list', '--json', '--data', data])
    expect(letters.map(({ code }) => code).sort()).toEqual([
      'INPUT_CUT',
      'INPUT_MALFORMED',
      'INPUT_NOT_TEXT',
      'INPUT_NOT_UTF8',
    ])
    // The faults stand already: for --strict they are faults all the same.
    expect(await situ([...words, '--strict'])).toMatchObject({ code: 1 })
    expect(JSON.parse((await mustSitu(['topics', '--json', '--data', data])).stdout)).toMatchObject({
      conservation: 'ok',
    })
  })

  it('exits 1 for a path that is not there, and reads the others', async () => {
    const data = path('missing')
    const good = path('good.txt', 'Some text.')
    const { code, stdout, stderr } = await situ(['ingest', path('nowhere.jsonl'), good, '--data', data])
    expect([code, stdout]).toEqual([1, expect.stringContaining('1 new')])
    expect(stderr).toContain('nowhere.jsonl')
  })

  it('writes nothing in a dry run', async () => {
    const data = path('dry')
    const { stdout } = await mustSitu(['ingest', path('dry.txt', 'Some text.'), '--dry-run', '--data', data])
    expect(stdout).toContain('1 read')
    expect(existsSync(data)).toBe(false)
  })

  it.skipIf(!hasSharedData)(
    'reads the saved pages with their titles (left out where the shared data is not there)',
    async () => {
      const data = path('web')
      await mustSitu(['ingest', join(sharedData, 'web'), '--include', '**/source.html.gz', '--data', data])
      await mustSitu(['run', 'extract', '--data', data])
      const { topics, operators } = JSON.parse((await mustSitu(['topics', '--json', '--data', data])).stdout)
      const { failed, dropped } = operators.extract
      const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)
      expect(topics.article.records + total(dropped) + total(failed)).toBe(66)
      const articles = await linesOf(['tap', 'article', '--fields', 'value.title,value.source', '--data', data])
      const right = articles.filter(line => {
        const { title, source } = (line as unknown as { value: { title: string; source: string } }).value
        const wanted = JSON.parse(readFileSync(source.replace('source.html.gz', 'expected-metadata.json'), 'utf8'))
        return typeof wanted.title === 'string' && wanted.title === title
      })
      expect(right.length).toBeGreaterThanOrEqual(60)
    },
  )
})

describe('several processes', () => {
  it('bring a line from a slow writer through the whole chain, and each ends well', async () => {
    const data = path('pipe')
    const ingest = new Situ(['ingest', '-', '--data', data])
    await waitFor(() => existsSync(join(data, 'situ.db')))
    await waitFor(async () => (await situ(['topics', '--data', data])).code === 0)
    const run = new Situ(['run', '--follow', '--model', 'stand-in', '--data', data])
    const tap = new Situ(['tap', 'deduped', '--follow', '--data', data])
    const seconds: number[] = []
    for (const topic of ['the start of all three', 'wind', 'rain', 'snow', 'hail', 'fog']) {
      const lines = tap.stdout.split('\n').length
      const start = performance.now()
      ingest.child.stdin?.write(`${page(longText(topic))}\n`)
      await tap.printed(({ stdout }) => stdout.split('\n').length > lines)
      seconds.push((performance.now() - start) / 1000)
    }
    // One of five may meet a busy machine.
    expect(seconds.slice(1).sort()[3]).toBeLessThan(1)
    ingest.child.stdin?.end()
    expect(await ingest.done).toMatchObject({ code: 0, stdout: expect.stringContaining('6 new') })
    for (const process of [run, tap]) {
      process.child.kill('SIGINT')
      expect((await process.done).code).toBe(130)
    }
  })
})

describe('situ check', () => {
  it('shows all problems at once and exits 2 for those of configuration and prompts', async () => {
    const prompt = path('broken.md', '# system\nx {{nothing}}\n\n# user\n{{document}}\n')
    const config = path(
      'situ.config.yaml',
      `concurency: 3\ndrainSeconds: -1\noperators:\n  situate: { prompt: ${prompt} }\n  extrct: {}\n  extract: { minimumCharacter: 3 }\n`,
    )
    const { code, stdout } = await situ(['check', '--no-call', '--config', config, '--data', path('none')])
    expect(code).toBe(2)
    for (const part of [
      'did you mean concurrency?',
      'drainSeconds',
      'did you mean extract?',
      'minimumCharacters',
      '{{nothing}}',
    ]) {
      expect(stdout).toContain(part)
    }
  })

  it('is content with a good set-up', async () => {
    expect(await situ(['check', '--model', 'stand-in', '--data', demo])).toMatchObject({ code: 0 })
  })

  it('names an unknown variable of the environment', async () => {
    const { code, stderr } = await situ(['topics', '--data', demo], { env: { SITU_CONCURENCY: '3' } })
    expect([code, stderr]).toEqual([2, expect.stringContaining('did you mean SITU_CONCURRENCY?')])
  })
})

describe('situ export', () => {
  it('writes the records of a topic, whole or not at all', async () => {
    const out = path('deduped.jsonl')
    await mustSitu(['export', 'deduped', '--out', out, '--data', demo])
    const records = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(records.length).toBeGreaterThanOrEqual(20)
    expect(records[0]).toMatchObject({
      id: expect.any(String),
      text: expect.any(String),
      situation: expect.any(Object),
    })
  })
})

describe('a data folder', () => {
  it('that is not there is an error for a reading command', async () => {
    expect(await situ(['topics', '--data', path('nothing-here')])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nothing-here'),
    })
  })
})

describe('help', () => {
  it('shows defaults, ranges and units', async () => {
    const { stdout } = await mustSitu(['run', '--help'])
    expect(stdout).toMatch(/--concurrency N.*1 to 1024; records; default 16/)
    expect((await mustSitu(['--help'])).stdout).toContain('ingest')
  })
})
