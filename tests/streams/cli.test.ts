import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { longText, page } from '../support/pages.ts'
import { linesOf, mustSitu, Situ, situ } from '../support/situ.ts'
import { testFolder } from '../support/test-folder.ts'
import { until } from '../support/until.ts'

const path = testFolder()
const demo = path('demo')

beforeAll(async () => {
  await mustSitu(['demo', '--data', demo])
}, 120_000)

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
  async function firstInstruction(): Promise<string> {
    const words = ['tap', 'instruction', '--limit', '1', '--data', demo]
    const [line] = await linesOf<{ value: { id: string } }>(words)
    return line?.value.id ?? ''
  }

  it('shows the way back to the page and forward to what became of it', async () => {
    const id = await firstInstruction()
    const { back, record, forward } = JSON.parse((await mustSitu(['trace', id, '--json', '--data', demo])).stdout)
    expect(back.map(({ topic }: { topic: string }) => topic)).toEqual(['page', 'article', 'document', 'situation'])
    expect(record).toMatchObject({ topic: 'instruction', id })
    expect(forward).toMatchObject([{ topic: 'deduped', children: [] }])
    const { stdout } = await mustSitu(['trace', back[0].id, '--data', demo])
    expect(stdout).toContain(id)
  })

  it('makes the messages again as they were sent', async () => {
    const id = await firstInstruction()
    const { code, stdout, stderr } = await situ(['trace', id, '--prompt', '--data', demo])
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject([{ role: 'system' }, { role: 'user' }])
  })
})

describe('several processes', () => {
  it('bring a line from a slow writer through the whole chain, and each ends well', async () => {
    const data = path('pipe')
    const ingest = new Situ(['ingest', '-', '--data', data])
    await until(async () => (await situ(['topics', '--data', data])).code === 0)
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
