import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { freePorts } from '../../services/ports.ts'
import { longText, page } from '../../support/pages.ts'
import { linesOf, mustSitu, Situ, situ } from '../../support/situ.ts'
import { testFolder } from '../../support/test-folder.ts'

const path = testFolder()

interface Line {
  value: { id: string }
}

describe('situ run', () => {
  it.each([
    ['run', 'extract'],
    ['run', 'extract', '--follow'],
  ])('makes no data folder: %s %s %s', async (...words) => {
    const data = path('misspelled')
    const { code, stdout, stderr } = await situ([...words, '--data', data], { cwd: path('.') })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(`no data folder at ${data}; situ ingest makes one`)
    expect(existsSync(data)).toBe(false)
  })

  it('tells of records that wait before the operators that it was to work, and of no others', async () => {
    const data = path('gap')
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
    const [old] = await linesOf<Line>(['tap', 'instruction', '--data', data])
    await mustSitu(['ingest', path('sea.txt', longText('sea')), '--data', data])
    await mustSitu([...words, '--accept-change'])
    const id = old?.value.id ?? ''
    expect((await mustSitu(['trace', id, '--prompt', '--data', data])).stdout).toContain('You write the message')
    const [, made] = await linesOf<Line>(['tap', 'instruction', '--data', data])
    const newer = made?.value.id ?? ''
    expect((await mustSitu(['trace', newer, '--prompt', '--data', data])).stdout).toContain('You write one message')
  })

  it('does not take concurrency, order or latency for a change', async () => {
    const data = path('settings')
    await mustSitu(['ingest', path('bay.txt', longText('bay')), '--data', data])
    const words = ['run', '--model', 'stand-in', '--data', data]
    await mustSitu(words)
    const env = { SITU_STAND_IN_LATENCY_MS: '1' }
    expect(await situ([...words, '--concurrency', '3', '--ordered'], { env })).toMatchObject({ code: 0 })
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
