import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { hasSharedData, sharedData } from '../../support/documents.ts'
import { page } from '../../support/pages.ts'
import { linesOf, mustSitu, situ } from '../../support/situ.ts'
import { testFolder } from '../../support/test-folder.ts'

const path = testFolder()

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
    const letters = await linesOf<{ code: string }>(['failed', 'list', '--json', '--data', data])
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
      const articles = await linesOf<{ value: { title: string; source: string } }>([
        'tap',
        'article',
        '--fields',
        'value.title,value.source',
        '--data',
        data,
      ])
      const right = articles.filter(({ value: { title, source } }) => {
        const wanted = JSON.parse(readFileSync(source.replace('source.html.gz', 'expected-metadata.json'), 'utf8'))
        return typeof wanted.title === 'string' && wanted.title === title
      })
      expect(right.length).toBeGreaterThanOrEqual(60)
    },
  )
})
