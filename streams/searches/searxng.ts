import { z } from 'zod'
import { type ExtractOptions, extract, extractArticle } from '../../operators/extract.ts'
import { Drop } from '../../operators/operator.ts'
import type { FoundDocument, SearchOptions } from '../../operators/search.ts'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { contentId } from '../identity.ts'
import { type Answer, answerOf, fetchAnswer } from '../models/openai/fetch-answer.ts'
import { decodeHtml } from '../sources/html.ts'
import { coverageOf } from './full-text/words.ts'
import type { OpenSearch } from './search.ts'
import type { SearxngSettings } from './settings.ts'
import { type FetchedPage, PageFetcher, UnwantedPage } from './web/fetch-page.ts'
import { type AddressRule, ForbiddenAddress } from './web/public-address.ts'

/** What is read of an answer; engines give much more. */
const answerSchema = z.object({ results: z.array(z.unknown()) })
const resultSchema = z.object({ url: z.string(), title: z.string().nullish() })

type Result = z.output<typeof resultSchema>

/** Pages that are tried for each document that is wanted: some can't be fetched or hold no text. */
const triesPerDocument = 3
const maxQueryCharacters = 400
const extractOptions: ExtractOptions = extract.options.parse({})

/**
 * Searches the web through an instance of SearXNG, fetches the first pages and takes their main text.
 *
 * The instance is the user's own and may lie anywhere; the pages are named by strangers and are fetched from public
 * addresses alone.
 */
export class SearxngSearch implements OpenSearch {
  readonly name: string
  readonly #settings: SearxngSettings
  readonly #pages: PageFetcher

  /** @param isAllowed - For tests: where pages may lie. */
  constructor(settings: SearxngSettings, name: string, isAllowed?: AddressRule) {
    this.name = name
    this.#settings = settings
    const limits = { timeoutMs: settings.timeoutSeconds * 1000, maxBytes: settings.maxPageBytes }
    this.#pages = new PageFetcher(isAllowed ? { ...limits, isAllowed } : limits)
  }

  /**
   * Documents in the order of the results; relevance is the share of the keywords' words that a page holds.
   *
   * @throws {SituError} SEARCH_UNREACHABLE (also where results are there and none of their pages can be reached),
   * SEARCH_REFUSED, SEARCH_RESPONSE_BROKEN.
   */
  async find(keywords: readonly string[], { limit, signal }: SearchOptions): Promise<FoundDocument[]> {
    const query = queryOf(keywords)
    if (query === '') return []
    const results = (await this.#query(query, signal)).slice(0, limit * triesPerDocument)
    const found: FoundDocument[] = []
    const unreached: unknown[] = []
    for (let next = 0; next < results.length && found.length < limit; ) {
      const some = results.slice(next, next + limit - found.length)
      next += some.length
      const outcomes = await Promise.allSettled(some.map(result => this.#read(result, keywords, signal)))
      signal.throwIfAborted()
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') unreached.push(outcome.reason)
        else if (outcome.value) found.push(outcome.value)
      }
    }
    if (results.length > 0 && unreached.length === results.length) throw this.#unreachedPages(unreached)
    return found
  }

  close(): Promise<void> {
    return this.#pages.close()
  }

  async #query(query: string, signal: AbortSignal): Promise<Result[]> {
    const { baseUrl, engines, language, timeoutSeconds } = this.#settings
    const url = new URL(`${baseUrl.replace(/\/+$/, '')}/search`)
    url.search = String(new URLSearchParams({ q: query, format: 'json', language }))
    if (engines.length > 0) url.searchParams.set('engines', engines.join(','))
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000)])
    let answer: Answer
    try {
      answer = answerOf(await fetchAnswer(url, { method: 'GET', signal: limited }))
    } catch (cause) {
      signal.throwIfAborted()
      throw new SituError('SEARCH_UNREACHABLE', `search ${baseUrl}: ${reasonOf(cause)}`, { cause })
    }
    return this.#resultsOf(answer)
  }

  #resultsOf({ status, text, error, headers }: Answer): Result[] {
    const { baseUrl } = this.#settings
    const evidence = { kind: 'response', content: text } as const
    const who = `search ${baseUrl}`
    if (error || status === 408 || status === 429 || status >= 500) {
      const seconds = Number(headers.get('retry-after') ?? Number.NaN)
      const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}
      const problem = error ? `the answer was cut (${messageOf(error)})` : `status ${status}`
      throw new SituError('SEARCH_UNREACHABLE', `${who}: ${problem}`, { evidence, ...retryAfterMs })
    }
    if (status === 401 || status === 403 || status === 404) {
      throw new SituError('SEARCH_REFUSED', `${who}: status ${status}`, { evidence })
    }
    const answer = status === 200 ? answerSchema.safeParse(parse(text)) : null
    if (!answer?.success) {
      const problem = status === 200 ? 'its answer is no JSON with results' : `status ${status}`
      throw new SituError('SEARCH_RESPONSE_BROKEN', `${who}: ${problem}`, { evidence })
    }
    return answer.data.results.flatMap(result => resultSchema.safeParse(result).data ?? [])
  }

  /** Null where the page is there and is of no use. @throws {Error} It could not be reached. */
  async #read({ url, title }: Result, keywords: readonly string[], signal: AbortSignal): Promise<FoundDocument | null> {
    try {
      return await this.#articleOf(await this.#pages.fetch(url, signal), title ?? null, keywords)
    } catch (error) {
      if (error instanceof UnwantedPage || error instanceof SituError || isForbidden(error)) return null
      throw error
    }
  }

  async #articleOf(
    page: FetchedPage,
    title: string | null,
    keywords: readonly string[],
  ): Promise<FoundDocument | null> {
    const { url, bytes, format, charset } = page
    const content = decodeHtml(bytes, charset)
    if (content === null) return null
    const article = await extractArticle({ id: url, url, title: null, content, format, source: null }, extractOptions)
    if (article instanceof Drop) return null
    const [{ text, language, title: own }] = article
    const known = own ?? title
    const relevance = coverageOf(keywords, `${known ?? ''}\n${text}`)
    // Not the canonical address that the page itself gives: a page could claim any.
    return { id: contentId(text), url, title: known, language, text, relevance }
  }

  #unreachedPages(reasons: readonly unknown[]): SituError {
    const first = reasonOf(reasons[0])
    const message = `search ${this.#settings.baseUrl}: none of ${reasons.length} result pages can be reached (${first})`
    return new SituError('SEARCH_UNREACHABLE', message, { cause: reasons[0] })
  }
}

/**
 * The keywords as a query of plain words: signs that begin a word or hold a colon are commands of the instance or its
 * engines (`!bang`, `:language`, `site:`), and keywords come from a model.
 */
function queryOf(keywords: readonly string[]): string {
  const words = keywords.flatMap(keyword => keyword.normalize('NFKC').split(/[\s:"()<>|\p{Cc}]+/u))
  const plain = words.map(word => word.replace(/^[^\p{L}\p{N}]+/u, '')).filter(word => word !== '')
  return plain.join(' ').slice(0, maxQueryCharacters).toWellFormed()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The connector's error may come wrapped. */
function isForbidden(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause)
    if (inner instanceof ForbiddenAddress) return true
  return false
}

function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : ''
  return `${messageOf(error) || 'no answer'}${inner}`
}
