import type { Document, Element } from './dom.ts'

const texEncoding = 'annotation[encoding="application/x-tex" i]'
/** Where MathML stands beside what a browser shows, and is hidden from the eye, it would be left out with the hidden. */
const hiddenWrapper = '.katex-mathml, .mwe-math-element, mjx-assistive-mml'
/** The same formula again, drawn. */
const drawn = '.katex-html, .MathJax_Preview, .MathJax_Display, .MathJax, .MathJax_CHTML, .MathJax_SVG, mjx-math'

/**
 * Writes TeX in place of formulas, between \( and \): otherwise they vanish (scripts, hidden MathML, images) or come
 * out as letters without their structure.
 */
export function formulasToTex(document: Document): void {
  // Only where the page has the source of its formulas; what is drawn is then a second copy.
  const scripts = [...document.querySelectorAll('script[type^="math/tex" i]')]
  const annotated = [...document.querySelectorAll('math')].filter(math => math.querySelector(texEncoding))
  if (scripts.length + annotated.length === 0) return
  for (const script of scripts) replace(document, script, script.textContent)
  for (const math of annotated) {
    const source = math.querySelector(texEncoding)?.textContent ?? null
    replace(document, math.closest(hiddenWrapper) ?? math, source)
  }
  for (const element of document.querySelectorAll(drawn)) element.remove()
}

function replace(document: Document, element: Element, source: string | null): void {
  const formula = source?.replace(/\s+/g, ' ').trim() ?? ''
  const bare = /^\{\\(?:displaystyle|textstyle) (.*)\}$/.exec(formula)?.[1] ?? formula
  const span = document.createElement('span')
  span.textContent = bare === '' ? '' : `\\(${bare.trim()}\\)`
  element.replaceWith(span)
}
