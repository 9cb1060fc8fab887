import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { eld } from 'eld/small'
import { describe, expect, test } from 'vitest'

interface SamplePage {
  name: string
  content: string
  text: string
}

const folder = join(import.meta.dirname, '../../streams/sample')
const names = readdirSync(folder).sort()
const files = names.map(name => ({ name, bytes: readFileSync(join(folder, name)) }))

const languages = {
  'de-richtig-lueften.html': 'de',
  'es-poda-del-olivo.html': 'es',
  'https://example.org/fr/lombricomposteur': 'fr',
  'ja-umeboshi.html': 'ja',
  'ar-rainwater-harvesting.html': 'ar',
} as Record<string, string>

const textless = ['empty.html', 'junk-cookie-banner.html']

/** What is left of a page without its furniture and tags: cruder than extract, and independent of it. */
function strip(content: string): string {
  return content
    .replace(/<(head|script|style|nav|header|footer|aside|form)\b[\s\S]*?<\/\1>/g, ' ')
    .replace(
      /<div (class="(top|tabs|menu|topbar|pager|site-header|site-footer|foot)"|id="(sidebar|comments|bottom)")[\s\S]*?<\/div>/g,
      ' ',
    )
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

function page(name: string, content: string): SamplePage {
  return { name, content, text: strip(content) }
}

function readPages(): SamplePage[] {
  return files.flatMap(({ name, bytes }) => {
    if (extname(name) !== '.jsonl') return [page(name, bytes.toString())]
    const lines = bytes.toString().trim().split('\n')
    return lines.map(line => {
      const { url, html, text } = JSON.parse(line)
      return page(url, html ?? text)
    })
  })
}

function shingles(text: string): Set<string> {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  return new Set(words.slice(2).map((word, index) => `${words[index]} ${words[index + 1]} ${word}`))
}

function jaccard(left: SamplePage, right: SamplePage): number {
  const [first, second] = [shingles(left.text), shingles(right.text)]
  const shared = [...first].filter(shingle => second.has(shingle)).length
  return shared / (first.size + second.size - shared)
}

const pages = readPages()

function find(name: string): SamplePage {
  const found = pages.find(candidate => candidate.name === name)
  if (!found) throw new Error(`no page ${name} in the sample`)
  return found
}

describe('the sample of the demo', () => {
  test('holds 35 pages in four formats and at most 120 KB', () => {
    expect(pages).toHaveLength(35)
    expect(new Set(names.map(name => extname(name)))).toEqual(new Set(['.html', '.jsonl', '.md', '.txt']))
    expect(files.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThanOrEqual(120 * 1024)
  })

  test.each(files)('$name is UTF-8 without a byte order mark', ({ bytes }) => {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    expect(text.startsWith('\uFEFF')).toBe(false)
  })

  test.each(pages)('$name names reserved domains only', ({ content }) => {
    const hosts = [...content.matchAll(/(?:\/\/|www\.|[\w.-]+@)([\w-]+(?:\.[\w-]+)+)/g)].map(match => match[1])
    for (const host of hosts) expect(host).toMatch(/^example\.(com|org|net)$/)
  })

  test('gives each HTML file a title and an address of its own', () => {
    const htmlFiles = pages.filter(({ name }) => name.endsWith('.html'))
    const addresses = htmlFiles.map(({ content }) => /<link rel="canonical" href="([^"]+)">/.exec(content)?.[1])
    expect(addresses).not.toContain(undefined)
    expect(new Set(addresses).size).toBe(htmlFiles.length)
    for (const { content } of htmlFiles) expect(content).toMatch(/<title>[^<]+<\/title>/)
  })

  test.each(pages.filter(({ name }) => !textless.includes(name)))('$name has a main text of 150 to 450 words', each => {
    const words = [...new Intl.Segmenter(languages[each.name] ?? 'en', { granularity: 'word' }).segment(each.text)]
    const count = words.filter(({ isWordLike }) => isWordLike).length
    expect(count).toBeGreaterThanOrEqual(150)
    expect(count).toBeLessThanOrEqual(each.name === 'ja-umeboshi.html' ? 600 : 450)
  })

  test.each(pages.filter(({ name }) => !textless.includes(name)))(
    '$name is in the language it is meant to be',
    each => {
      expect(eld.detect(each.text).language).toBe(languages[each.name] ?? 'en')
    },
  )

  test('has one page without any text and one of links and buttons only', () => {
    expect(find('empty.html').text).toBe('')
    expect(find('junk-cookie-banner.html').text.split(' ').length).toBeLessThan(80)
  })

  test('has a news item that is a near-duplicate of another, with a headline of its own', () => {
    const [first, second] = [find('news-harbour-bridge.html'), find('news-harbour-bridge-syndicated.html')]
    const similarity = jaccard(first, second)
    expect(similarity).toBeGreaterThanOrEqual(0.85)
    expect(similarity).toBeLessThan(1)
    const headlines = [first, second].map(({ content }) => /<h1>(.*?)<\/h1>/.exec(content)?.[1])
    expect(headlines[0]).not.toBe(headlines[1])
  })

  test('has one page whose main text is an exact repeat in other furniture', () => {
    const [desktop, mobile] = [find('howto-bleed-radiator.html'), find('howto-bleed-radiator-mobile.html')]
    expect(mobile.content).not.toBe(desktop.content)
    expect(mobile.text).toBe(desktop.text)
  })

  test('has no other two pages that resemble each other', () => {
    const rest = pages.filter(({ name }) => !/syndicated|mobile/.test(name) && !textless.includes(name))
    for (const [index, left] of rest.entries()) {
      for (const right of rest.slice(index + 1)) expect(jaccard(left, right)).toBeLessThan(0.1)
    }
  })
})
