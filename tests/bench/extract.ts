/** Extraction on the shared web pages: titles, token F1 against the expected texts, CPU seconds a page. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { parseHTML } from 'linkedom'
import { extract } from '../../operators/extract.ts'
import { Drop } from '../../operators/operator.ts'
import { extractContext, htmlPage } from '../operators/extract-context.ts'

const folder = '../shared/data/web'
const verbose = process.argv.includes('--verbose')

function tokens(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const token of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) counts.set(token, (counts.get(token) ?? 0) + 1)
  return counts
}

function f1(found: string, expected: string): number {
  const left = tokens(found)
  const right = tokens(expected)
  let shared = 0
  for (const [token, count] of left) shared += Math.min(count, right.get(token) ?? 0)
  const sum = (counts: Map<string, number>) => [...counts.values()].reduce((total, count) => total + count, 0)
  const all = sum(left) + sum(right)
  return all === 0 ? 1 : (2 * shared) / all
}

function expectedText(path: string): string {
  const html = gunzipSync(readFileSync(path)).toString()
  return parseHTML(`<html><body>${html.replaceAll('<', ' <')}</body></html>`).document.body.textContent ?? ''
}

async function main(): Promise<void> {
  const names = readdirSync(folder).filter(name => existsSync(`${folder}/${name}/source.html.gz`))
  const scores: number[] = []
  const outcomes: Record<string, number> = {}
  let titles = 0
  let cpuMs = 0
  await extract.apply(htmlPage('<p>Load the libraries first.</p>'), extractContext())
  for (const name of names) {
    const html = gunzipSync(readFileSync(`${folder}/${name}/source.html.gz`)).toString()
    const expected = JSON.parse(readFileSync(`${folder}/${name}/expected-metadata.json`, 'utf8')) as { title: string }
    const before = process.cpuUsage()
    const outcome = await extract.apply(htmlPage(html), extractContext())
    const used = process.cpuUsage(before)
    cpuMs += (used.user + used.system) / 1_000
    const kind = outcome instanceof Drop ? outcome.reason : 'article'
    outcomes[kind] = (outcomes[kind] ?? 0) + 1
    if (outcome instanceof Drop) {
      if (verbose) console.log(name, outcome.reason, outcome.details.detail, `expected title: ${expected.title}`)
      continue
    }
    const [article] = outcome
    const score = f1(article?.text ?? '', expectedText(`${folder}/${name}/expected.html.gz`))
    scores.push(score)
    if (article?.title === expected.title) titles += 1
    else if (verbose) console.log(name, 'title', article?.title, '| expected', expected.title)
    if (verbose && score < 0.9) console.log(name, 'F1', score.toFixed(3))
    if (verbose && (used.user + used.system) / 1_000 > 400) console.log(name, 'ms', (used.user + used.system) / 1_000)
  }
  const mean = scores.reduce((total, score) => total + score, 0) / scores.length
  console.log(`pages ${names.length}, outcomes ${JSON.stringify(outcomes)}`)
  console.log(`titles as expected ${titles} of ${names.length}`)
  console.log(`token F1 of the articles, mean ${mean.toFixed(3)}`)
  console.log(`CPU ${(cpuMs / names.length / 1_000).toFixed(3)} s a page`)
}

await main()
