import type { Parser as HtmlParser } from 'htmlparser2'
import { SituError } from '../../schemas/errors.ts'
import type { Document, Element } from './dom.ts'
import { formulasToTex } from './formulas.ts'
import { htmlToText } from './html-text.ts'

export interface HtmlArticle {
  title: string | null
  /** Main text; null where none stands out. */
  text: string | null
  /** Whether the page shows any text at all. */
  blank: boolean
  /** Share of the main text that is links, 0 to 1. */
  linkShare: number
  /** As the page gives it, not resolved. */
  canonical: string | null
  /** The lang attribute. */
  language: string | null
}

/**
 * A page is read at many levels (an element's text is looked at for it and its ancestors), so what it costs grows with
 * text times depth. A real page has a depth of 10 to 60 and costs 1 to 30 million; this takes some seconds.
 */
const mostWork = 150_000_000
const deepest = 600
const unseen = new Set(['script', 'style', 'noscript', 'template', 'title', 'iframe'])
/** What an element costs beyond its text, in characters. */
const elementWork = 40

/**
 * The article of an HTML page.
 *
 * @param who - What an error calls the page.
 * @throws {SituError} RECORD_TOO_LARGE where the page is nested too deeply, or too large for its depth.
 */
export async function readHtml(html: string, who: string): Promise<HtmlArticle> {
  // Loading takes 0.15 s, which a command that extracts nothing can do without.
  const [{ DOMParser }, { default: readability }, { Parser }] = await Promise.all([
    import('linkedom'),
    import('@mozilla/readability'),
    import('htmlparser2'),
  ])
  const blank = !scan(html, who, Parser).visible
  const document = new DOMParser().parseFromString(whole(html), 'text/html') as unknown as Document
  const head = {
    canonical: attribute(document, 'link[rel~="canonical" i]', 'href') ?? attribute(document, ogUrl, 'content'),
    language: document.documentElement?.getAttribute('lang') || null,
    title: oneLine(document.querySelector('head title')?.textContent ?? null),
  }
  if (blank) return { ...head, text: null, blank, linkShare: 0 }
  formulasToTex(document)
  const article = new readability.Readability<Element>(document, {
    // The element itself: its HTML need not be written and read again.
    serializer: node => node as Element,
  }).parse()
  if (!article?.content) return { ...head, text: null, blank, linkShare: 0 }
  return {
    ...head,
    title: oneLine(article.title ?? null) ?? head.title,
    text: htmlToText(article.content),
    blank,
    linkShare: linkShare(article.content),
  }
}

const ogUrl = 'meta[property="og:url" i]'

/** linkedom makes no html, head and body where the page has none, and what reads the page needs them. */
function whole(html: string): string {
  if (/<html[\s>]/i.test(html)) return html
  if (/<(body|head)[\s>]/i.test(html)) return `<!doctype html><html>${html}</html>`
  const head = /^\s*(?:<!doctype[^>]*>\s*)?((?:<(?:meta|link|base)\b[^>]*>\s*|<title\b[^>]*>[^<]*<\/title>\s*)*)/i.exec(
    html,
  )
  const body = html.slice(head?.[0].length ?? 0)
  return `<!doctype html><html><head>${head?.[1] ?? ''}</head><body>${body}</body></html>`
}

/**
 * Tells whether there is text to be seen, by the tags alone: building a tree of them already takes time square in its
 * depth.
 *
 * @throws {SituError} RECORD_TOO_LARGE
 */
function scan(html: string, who: string, Parser: typeof HtmlParser): { visible: boolean } {
  let depth = 0
  let work = 0
  let hidden = 0
  let visible = false
  const spend = (characters: number) => {
    work += (depth + 1) * characters
    if (depth <= deepest && work <= mostWork) return
    const what = depth > deepest ? `nested more than ${deepest} levels deep` : 'too large for the depth of its elements'
    throw new SituError('RECORD_TOO_LARGE', `${who} is ${what}: its main text can't be found in reasonable time`)
  }
  const parser = new Parser({
    onopentagname: name => {
      depth += 1
      if (unseen.has(name)) hidden += 1
      spend(elementWork)
    },
    onclosetag: name => {
      depth -= 1
      if (unseen.has(name)) hidden -= 1
    },
    ontext: text => {
      visible ||= hidden === 0 && /\S/.test(text)
      spend(text.length)
    },
  })
  parser.end(html)
  return { visible }
}

function linkShare(element: Element): number {
  const letters = (text: string | null) => text?.match(/\S/g)?.length ?? 0
  const all = letters(element.textContent)
  if (all === 0) return 0
  let linked = 0
  for (const link of element.querySelectorAll('a[href]')) linked += letters(link.textContent)
  return Math.min(1, linked / all)
}

function attribute(document: Document, selector: string, name: string): string | null {
  return document.querySelector(selector)?.getAttribute(name)?.trim() || null
}

function oneLine(title: string | null): string | null {
  const lines = title?.split(/[\n\r\t]+/).map(line => line.trim())
  return lines?.filter(line => line !== '').join(' ') || null
}
