import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type ExtractOptions, extract } from '../../operators/extract.ts'
import { Drop } from '../../operators/operator.ts'
import type { Page } from '../../schemas/records.ts'
import { extractContext, htmlPage } from './extract-context.ts'

const sentence = 'The ferry to the island leaves at nine, and it is wise to be there early, since it fills up quickly. '
const paragraphs = `<p>${sentence.repeat(2)}</p><p>${sentence.repeat(3)}</p>`

async function articleOf(page: Page, options: Partial<ExtractOptions> = {}) {
  const outcome = await extract.apply(page, extractContext(options))
  if (outcome instanceof Drop) throw new Error(`dropped as ${outcome.reason}: ${outcome.details.detail}`)
  const [article] = outcome
  if (!article || outcome.length !== 1) throw new Error(`${outcome.length} articles`)
  return article
}

async function reasonOf(page: Page, options: Partial<ExtractOptions> = {}): Promise<string> {
  const outcome = await extract.apply(page, extractContext(options))
  return outcome instanceof Drop ? outcome.reason : 'article'
}

function page(body: string, head = ''): string {
  return `<!doctype html><html><head><title>Ferries</title>${head}</head><body>
    <nav><a href="/">Home</a> <a href="/about">About</a></nav><article><h1>Ferries</h1>${body}</article>
    <footer>Copyright</footer></body></html>`
}

describe('extract, HTML', () => {
  it('takes title, text, language and source, and leaves menus out', async () => {
    const article = await articleOf(htmlPage(page(paragraphs), { source: 'pages.jsonl#3' }))
    expect(article).toMatchObject({ title: 'Ferries', language: 'en', source: 'pages.jsonl#3', url: null })
    expect(article.text).toContain('leaves at nine')
    expect(article.text).not.toMatch(/Home|Copyright/)
  })

  it('keeps paragraphs apart by a blank line', async () => {
    const { text } = await articleOf(htmlPage(page(paragraphs)))
    expect(text).toContain(`${sentence.trim()}\n\nThe ferry`)
  })

  it('writes lists, tables, code and formulas as text', async () => {
    const body = `${paragraphs}<ul><li>one</li><li>two<ul><li>inner</li></ul></li></ul><ol start="3"><li><p>three</p></li><li>four</li></ol>
      <table><tr><th>Port</th><th>Time</th></tr><tr><td>North</td><td>9<br>10</td></tr></table>
      <pre>if (early) {\n    wait()\n}</pre><p>Then <span class="katex"><span class="katex-mathml"><math><mi>E</mi><annotation encoding="application/x-tex">E=mc^2</annotation></math></span><span class="katex-html">E=mc2</span></span> holds,
      <b>bold</b>and <i>so</i> on.</p>`
    const { text } = await articleOf(htmlPage(page(body)))
    expect(text).toContain('- one\n- two\n  - inner')
    expect(text).toContain('3. three\n4. four')
    expect(text).toContain('Port | Time\nNorth | 9 10')
    expect(text).toContain('if (early) {\n    wait()\n}')
    expect(text).toContain('Then \\(E=mc^2\\) holds, boldand so on.')
  })

  it('keeps the TeX of scripts and of hidden MathML, and powers', async () => {
    const wiki = `<span class="mwe-math-element"><span style="display: none"><math><annotation
      encoding="application/x-tex">{\\displaystyle a_{n}}</annotation></math></span><img src="a.svg"></span>`
    const body = `<p>Let <script type="math/tex">x_1</script> be 8·10<sup>-2</sup> and ${wiki} so<sup>1</sup>.</p>${paragraphs}`
    const { text } = await articleOf(htmlPage(page(body)))
    expect(text).toContain('Let \\(x_1\\) be 8·10^-2 and \\(a_{n}\\) so1.')
  })

  it.each([
    ['<link rel="canonical" href="/ferry#top">', 'https://example.org/a/b', 'https://example.org/ferry'],
    ['<link rel="canonical" href="https://example.net/x">', null, 'https://example.net/x'],
    ['<meta property="og:url" content="https://example.net/og">', null, 'https://example.net/og'],
    ['<link rel="canonical" href="javascript:alert(1)">', 'https://example.org/a', 'https://example.org/a'],
    ['<link rel="canonical" href="/relative">', null, null],
    ['', 'ftp://example.org/a', null],
    ['', 'no address', null],
  ])('finds the address by %s on a page from %s', async (head, url, expected) => {
    expect((await articleOf(htmlPage(page(paragraphs, head), { url }))).url).toBe(expected)
  })

  it('reads pages without html, head or body', async () => {
    const article = await articleOf(htmlPage(`<title>Bare</title><h2>Ferries</h2>${paragraphs}`))
    expect(article).toMatchObject({ title: 'Bare' })
    expect(article.text).toContain('leaves at nine')
  })

  it('prefers the title that came with the page', async () => {
    expect((await articleOf(htmlPage(page(paragraphs), { title: ' Given ' }))).title).toBe('Given')
  })

  it('takes the declared language where the text does not tell', async () => {
    const signs = '<p>Xqz wvk jjq, zzx kkw vvq. </p>'.repeat(20)
    const html = `<html lang="sv-SE"><body><article>${signs}</article></body></html>`
    expect((await articleOf(htmlPage(html))).language).toBe('sv')
  })

  it.each([
    ['empty', ''],
    ['empty', ' \n\u200b\ufeff '],
    ['empty', '<html><body><script>let text = "none"</script><img src="a.png"></body></html>'],
    ['too_short', page('<p>The ferry leaves at nine.</p>')],
    ['not_text', '\u0000\u0001\u0002\u0003PNG\ufffd\ufffd\ufffd'.repeat(50)],
    ['not_text', '~!@#$%^&*() '.repeat(50)],
    [
      'boilerplate',
      `<html><body>${'<p><a href="/x">A link to another page, with words, in it</a></p>'.repeat(40)}</body></html>`,
    ],
  ])('drops as %s: %j', async (reason, html) => {
    expect(await reasonOf(htmlPage(html))).toBe(reason)
    expect(extract.reasons).toContain(reason)
  })

  it('drops other languages only where languages are set', async () => {
    expect(await reasonOf(htmlPage(page(paragraphs)), { languages: ['de', 'fr'] })).toBe('wrong_language')
    expect(await reasonOf(htmlPage(page(paragraphs)), { languages: ['de', 'en'] })).toBe('article')
  })

  it('gives the same article each time', async () => {
    const html = htmlPage(page(paragraphs))
    expect(await articleOf(html)).toEqual(await articleOf(html))
  })
})

describe('extract, hostile HTML', () => {
  const many: [string, string][] = [
    ['100,000 nested divs', '<div>'.repeat(100_000) + paragraphs],
    ['a million nested spans', '<span>'.repeat(1_000_000)],
    ['20,000 nested tables', '<table><tr><td>'.repeat(20_000)],
    ['20 MB', `<html><body>${paragraphs.repeat(40_000)}</body></html>`],
  ]
  it.each(many)('fails with RECORD_TOO_LARGE on %s', async (_name, html) => {
    await expect(async () => extract.apply(htmlPage(html), extractContext())).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
      message: expect.stringContaining('page page-1'),
    })
  })

  const odd = [
    '<'.repeat(500_000),
    '<!--'.repeat(100_000),
    '<a '.repeat(100_000),
    '</p>'.repeat(100_000),
    '<![CDATA[',
    '\ud800',
  ]
  const oddEnds = [
    '<svg><title>',
    '<template><p>x',
    '<plaintext>',
    '<frameset>',
    '<base href="::">',
    '&#xffffffff;&bogus;',
  ]
  it.each([...odd, ...oddEnds])('ends with an article or a drop on %.30s', async html => {
    expect(['article', ...extract.reasons]).toContain(await reasonOf(htmlPage(html)))
    expect(['article', ...extract.reasons]).toContain(await reasonOf(htmlPage(page(paragraphs) + html)))
  })
})

describe('extract, text and Markdown', () => {
  const text = `Ferries\n\n  ${sentence.repeat(4)}\n\ttabbed  \n\n\n`

  it.each(['text', 'markdown'] as const)('leaves %s as it is where there is nothing to mend', async format => {
    expect((await articleOf(htmlPage(text, { format }))).text).toBe(text)
  })

  it('mends line ends, byte order mark and control characters', async () => {
    const content = `\ufeffOne\r\ntwo\rthree\u0007 ${sentence.repeat(4)}`
    expect((await articleOf(htmlPage(content, { format: 'text' }))).text).toMatch(/^One\ntwo\nthree The ferry/)
  })

  it.each([
    ['# The **ferry** to [Hven](https://example.org) #\n\n', 'The ferry to Hven'],
    ['Ferry times\n===========\n\n', 'Ferry times'],
    ['---\ndate: 2020-01-01\ntitle: "Front: matter"\n---\n# Heading\n\n', 'Front: matter'],
    ['+++\ntitle = "Toml"\n+++\n\n', 'Toml'],
    ['```sh\n# no heading\n```\n\n## Second level\n\n', 'Second level'],
    ['Only text.\n\n', null],
  ])('finds the Markdown title of %j', async (start, title) => {
    const article = await articleOf(htmlPage(start + sentence.repeat(4), { format: 'markdown' }))
    expect(article.title).toBe(title)
  })

  it('counts a Chinese character as three', async () => {
    const content = '渡轮每天早上九点出发前往岛屿，最好提前到达码头。'.repeat(4)
    expect(await articleOf(htmlPage(content, { format: 'text' }))).toMatchObject({ language: 'zh', text: content })
  })
})

describe('extract, options', () => {
  it('names every wrong option', () => {
    const result = extract.options.safeParse({ minimumCharacters: 0, languages: ['English'], unknown: 1 })
    expect(result.error?.issues.map(issue => issue.path.join('.')).sort()).toEqual([
      '',
      'languages.0',
      'minimumCharacters',
    ])
  })
})

const web = '../shared/data/web'
const pages = existsSync(web) ? readdirSync(web).filter(name => existsSync(`${web}/${name}/source.html.gz`)) : []

describe('extract, real pages', () => {
  it.skipIf(pages.length === 0)(
    'finds the titles of at least 60 of the 66 shared pages (left out where ../shared/data is not there)',
    async () => {
      let titles = 0
      const outcomes: string[] = []
      for (const name of pages) {
        const html = gunzipSync(readFileSync(`${web}/${name}/source.html.gz`)).toString()
        const expected = JSON.parse(readFileSync(`${web}/${name}/expected-metadata.json`, 'utf8')) as { title: string }
        const outcome = await extract.apply(htmlPage(html), extractContext())
        outcomes.push(outcome instanceof Drop ? outcome.reason : 'article')
        if (!(outcome instanceof Drop) && outcome[0]?.title === expected.title) titles += 1
      }
      expect(outcomes).toHaveLength(66)
      expect(titles).toBeGreaterThanOrEqual(60)
    },
  )
})
