import { z } from 'zod'
import { messageOf, SituError } from '../schemas/errors.ts'
import type { Page } from '../schemas/records.ts'
import { isEmpty } from './dedup/normalise.ts'
import { type HtmlArticle, readHtml } from './extract/html-article.ts'
import { isNotText, markdownTitle, mend } from './extract/plain-text.ts'
import { detectLanguage, languagesOption } from './language.ts'
import { type Draft, type Drop, drop, type Operator } from './operator.ts'
import { weightedLength } from './unspaced.ts'

const optionsSchema = z.strictObject({
  minimumCharacters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(200)
    .describe('Main text below this is dropped as too_short. A letter of a script without spaces counts as three.'),
  maximumCharacters: z
    .int()
    .min(1_000)
    .max(100_000_000)
    .default(5_000_000)
    .describe('A page of more characters, markup included, fails with RECORD_TOO_LARGE.'),
  maximumLinkShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.7)
    .describe('Main text of which a larger share, 0 to 1, is links is dropped as boilerplate.'),
  languages: languagesOption,
})

export type ExtractOptions = z.output<typeof optionsSchema>

/** From a page to its main text: HTML by Readability, text and Markdown as they are. */
export const extract: Operator<'page', 'article', ExtractOptions> = {
  name: 'extract',
  version: 1,
  from: 'page',
  to: 'article',
  summary: 'Finds the main text, title, language and canonical address of a page.',
  reasons: ['empty', 'not_text', 'boilerplate', 'too_short', 'wrong_language'],
  options: optionsSchema,
  async apply(page, { options }) {
    const { content } = page
    if (content.length > options.maximumCharacters) throw tooLarge(page, options)
    if (isEmpty(content)) return drop('empty', { detail: 'the page has no content' })
    if (isNotText(content)) return drop('not_text', { detail: 'the content is mostly signs or broken characters' })
    const found = page.format === 'html' ? await articleOfHtml(page, options) : articleOfText(page)
    if ('reason' in found) return found
    const { declaredLanguage, ...article } = found
    const length = weightedLength(article.text)
    if (length < options.minimumCharacters) {
      return drop('too_short', { detail: `${length} characters; at least ${options.minimumCharacters} are wanted` })
    }
    const language = (await detectLanguage(article.text)) ?? declaredLanguage
    if (language && options.languages.length > 0 && !options.languages.includes(language)) {
      return drop('wrong_language', { detail: `language ${language}; wanted: ${options.languages.join(', ')}` })
    }
    return [{ ...article, language }]
  },
}

type Found = Omit<Draft<'article'>, 'language'> & { declaredLanguage: string | null }

function articleOfText({ content, format, url, title, source }: Page): Found {
  const text = mend(content)
  return {
    url: httpUrl(url, null),
    title: title?.trim() || (format === 'markdown' ? markdownTitle(text) : null),
    text,
    source,
    declaredLanguage: null,
  }
}

async function articleOfHtml(page: Page, options: ExtractOptions): Promise<Found | Drop> {
  const found = await readPage(page)
  if (found.blank) return drop('empty', { detail: 'the page shows no text' })
  if (!found.text) return drop('boilerplate', { detail: 'no main text stands out' })
  if (found.linkShare > options.maximumLinkShare) {
    return drop('boilerplate', { detail: `${Math.round(found.linkShare * 100)} % of the main text is links` })
  }
  const text = mend(found.text)
  if (isNotText(text)) return drop('not_text', { detail: 'the main text is mostly signs or broken characters' })
  return {
    url: httpUrl(found.canonical, page.url) ?? httpUrl(page.url, null),
    title: page.title?.trim() || found.title,
    text,
    source: page.source,
    declaredLanguage: /^[a-z]{2}(?=$|[-_])/i.exec(found.language ?? '')?.[0].toLowerCase() ?? null,
  }
}

async function readPage(page: Page): Promise<HtmlArticle> {
  try {
    return await readHtml(mend(page.content), nameOf(page))
  } catch (error) {
    // The libraries hand on lists as arguments and recurse: a page with a hundred thousand links overflows the stack.
    if (!(error instanceof RangeError)) throw error
    const message = `${nameOf(page)} has too many elements to be read (${messageOf(error)})`
    throw new SituError('RECORD_TOO_LARGE', message, { cause: error })
  }
}

function nameOf({ id, url }: Page): string {
  return `page ${id || url || 'without id'}`
}

function tooLarge(page: Page, { maximumCharacters }: ExtractOptions): SituError {
  const rule = `at most ${maximumCharacters} are read (option maximumCharacters)`
  return new SituError('RECORD_TOO_LARGE', `${nameOf(page)} has ${page.content.length} characters; ${rule}`)
}

const longestUrl = 2_048

/** The address where it is one of the web, without fragment; null otherwise. */
function httpUrl(address: string | null, base: string | null): string | null {
  if (!address || address.length > longestUrl) return null
  const url = URL.parse(address, base ?? undefined) ?? null
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return null
  url.hash = ''
  return url.href
}
