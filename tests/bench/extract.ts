/**
 * Extraction on the shared web pages: titles, token F1 against the expected texts, CPU seconds a page.
 *
 * npm run bench -- extract [--verbose=yes] names the pages that differ.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parseHTML } from 'linkedom'
import { extract } from '../../operators/extract.ts'
import { Drop } from '../../operators/operator.ts'
import { extractContext, htmlPage } from '../operators/extract-context.ts'
import { hasSharedData, sharedData } from '../support/documents.ts'
import { report, type ScriptOptions } from '../support/figures.ts'

/** One page as it came out. */
interface Extracted {
  name: string
  /** Of the drop; null for an article. */
  reason: string | null
  title: string | null
  expectedTitle: string
  /** 0 to 1; null for a drop. */
  f1: number | null
  cpuSeconds: number
}

export async function run(options: ScriptOptions): Promise<void> {
  if (!hasSharedData) {
    console.log('the shared web pages are not there: nothing to extract')
    return
  }
  const folder = join(sharedData, 'web')
  const names = readdirSync(folder).filter(name => existsSync(join(folder, name, 'source.html.gz')))
  await extract.apply(htmlPage('<p>Load the libraries first.</p>'), extractContext())
  const pages: Extracted[] = []
  for (const name of names) pages.push(await extractPage(join(folder, name), name))
  if (options.values.verbose) for (const page of pages) if (differs(page)) console.log(page)
  const articles = pages.filter(({ reason }) => reason === null)
  const titles = articles.filter(({ title, expectedTitle }) => title === expectedTitle)
  report(
    'extract',
    [
      { name: 'pages', value: pages.length },
      { name: 'articles', value: articles.length },
      { name: 'titles as expected', value: titles.length, goal: { least: 60 } },
      {
        name: 'token F1 of the articles, mean',
        value: mean(articles.map(({ f1 }) => f1 ?? 0)),
        goal: { least: 0.945 },
      },
      { name: 'CPU a page', value: mean(pages.map(({ cpuSeconds }) => cpuSeconds)), unit: 's', goal: { most: 0.1 } },
    ],
    options,
  )
}

async function extractPage(folder: string, name: string): Promise<Extracted> {
  const html = gunzipSync(readFileSync(join(folder, 'source.html.gz'))).toString()
  const expected = JSON.parse(readFileSync(join(folder, 'expected-metadata.json'), 'utf8')) as { title: string }
  const before = process.cpuUsage()
  const outcome = await extract.apply(htmlPage(html), extractContext())
  const used = process.cpuUsage(before)
  const facts = { name, expectedTitle: expected.title, cpuSeconds: (used.user + used.system) / 1e6 }
  if (outcome instanceof Drop) return { ...facts, reason: outcome.reason, title: null, f1: null }
  const [article] = outcome
  const f1 = f1Of(article?.text ?? '', expectedText(join(folder, 'expected.html.gz')))
  return { ...facts, reason: null, title: article?.title ?? null, f1 }
}

function differs({ reason, title, expectedTitle, f1, cpuSeconds }: Extracted): boolean {
  return reason !== null || title !== expectedTitle || (f1 ?? 0) < 0.9 || cpuSeconds > 0.4
}

function expectedText(path: string): string {
  const html = gunzipSync(readFileSync(path)).toString()
  return parseHTML(`<html><body>${html.replaceAll('<', ' <')}</body></html>`).document.body.textContent ?? ''
}

function f1Of(found: string, expected: string): number {
  const left = tokens(found)
  const right = tokens(expected)
  let shared = 0
  for (const [token, count] of left) shared += Math.min(count, right.get(token) ?? 0)
  const sum = (counts: Map<string, number>) => [...counts.values()].reduce((total, count) => total + count, 0)
  const all = sum(left) + sum(right)
  return all === 0 ? 1 : (2 * shared) / all
}

function tokens(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const token of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) counts.set(token, (counts.get(token) ?? 0) + 1)
  return counts
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}
