import { type Element, elementNode, type Node, textNode } from './dom.ts'

const skipped = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'SVG', 'HEAD', 'IFRAME', 'OBJECT', 'SELECT'])
const blocks = new Set(
  (
    'ADDRESS ARTICLE ASIDE BLOCKQUOTE CENTER DD DETAILS DIV DL DT FIELDSET FIGCAPTION FIGURE FOOTER FORM H1 H2 H3 H4 ' +
    'H5 H6 HEADER HR MAIN MENU NAV OL P PRE SECTION SUMMARY TABLE CAPTION UL TBODY THEAD TFOOT'
  ).split(' '),
)
/** Blocks that begin a line, but stand close to the one before. */
const close = new Set(['DD', 'DT', 'TBODY', 'THEAD', 'TFOOT'])
/** In a list item these do too. */
const inListClose = new Set(['UL', 'OL', 'P', 'DIV'])

/**
 * The text of an element as a reader would type it: a blank line between paragraphs, "- " or "1. " before the items of
 * a list, table rows as lines with " | " between the cells, code as it is, formulas as TeX where the page has it.
 */
export function htmlToText(root: Element): string {
  const writer = new Writer()
  write(root, writer, { list: '', preformatted: false })
  return writer.text()
}

interface Around {
  /** Indentation of the list item that one is in. */
  list: string
  preformatted: boolean
}

function write(node: Node, writer: Writer, around: Around): void {
  if (node.nodeType === textNode) {
    writer.put(node.textContent ?? '', around.preformatted)
    return
  }
  if (node.nodeType !== elementNode) return
  const element = node as Element
  const name = element.tagName.toUpperCase()
  if (skipped.has(name)) return
  if (name === 'BR') writer.line()
  else if (name === 'TR') writeRow(element, writer, around)
  else if (name === 'LI') writeItem(element, writer, around)
  else if (blocks.has(name)) writeBlock(element, name, writer, around)
  else {
    if (name === 'SUP' && isPower(element, writer)) writer.put('^', true)
    writeChildren(element, writer, around)
  }
}

function writeChildren(element: Element, writer: Writer, around: Around): void {
  for (let child = element.firstChild; child; child = child.nextSibling) write(child, writer, around)
}

function writeBlock(element: Element, name: string, writer: Writer, around: Around): void {
  const inList = around.list !== '' && inListClose.has(name)
  const space = () => (inList || close.has(name) ? writer.line() : writer.paragraph())
  space()
  writeChildren(element, writer, name === 'PRE' ? { ...around, preformatted: true } : around)
  space()
}

function writeItem(element: Element, writer: Writer, around: Around): void {
  const list = element.parentElement
  const ordered = list?.tagName.toUpperCase() === 'OL'
  writer.line()
  writer.put(`${around.list}${ordered ? `${itemNumber(element)}.` : '-'} `, true)
  writer.join()
  writeChildren(element, writer, { ...around, list: `${around.list}  ` })
  writer.part()
}

const numbers = new WeakMap<Element, number>()

/** Counted from the item before, so that a long list is not counted anew for each item. */
function itemNumber(item: Element): number {
  let before = item.previousElementSibling
  while (before && before.tagName.toUpperCase() !== 'LI') before = before.previousElementSibling
  const start = Number.parseInt(item.parentElement?.getAttribute('start') ?? '1', 10)
  const number = before ? (numbers.get(before) ?? 0) + 1 : Number.isSafeInteger(start) ? start : 1
  numbers.set(item, number)
  return number
}

function writeRow(row: Element, writer: Writer, around: Around): void {
  writer.line()
  let first = true
  for (let child = row.firstChild; child; child = child.nextSibling) {
    if (child.nodeType !== elementNode) continue
    if (!first) writer.put(' | ', true)
    first = false
    const cell = new Writer()
    write(child, cell, { ...around, list: '' })
    // A table for the layout holds paragraphs: they stay lines of their own.
    const text = cell.text()
    writer.put(text.length <= 200 ? text.replace(/\s+/g, ' ') : text, true)
  }
  writer.line()
}

/** A power after a number: 10<sup>-2</sup> is not 10-2. Marks of footnotes are links, or follow a word. */
function isPower(element: Element, writer: Writer): boolean {
  const text = element.textContent ?? ''
  return element.querySelector('a') === null && /^\s*[-−+]?\d{1,6}\s*$/.test(text) && writer.endsWithDigit()
}

/** Puts pieces together; white space between them is decided when the next one comes. */
class Writer {
  readonly #pieces: string[] = []
  /** What stands between the last piece and the next: 0 nothing, 1 a space, 2 a line end, 3 a blank line. */
  #gap = 0
  #joined = false

  put(text: string, preformatted: boolean): void {
    const content = preformatted ? text.replaceAll('\u00a0', ' ') : text.replace(/[\s\u00a0]+/gu, ' ')
    if (preformatted) {
      if (content !== '') this.#push(content)
      return
    }
    const words = content.trim()
    if (content.startsWith(' ')) this.#widen(1)
    if (words === '') return
    this.#push(words)
    if (content.endsWith(' ')) this.#widen(1)
  }

  line(): void {
    if (!this.#joined) this.#widen(2)
  }

  paragraph(): void {
    if (!this.#joined) this.#widen(3)
  }

  /** What comes next stays on the line: the mark of an item and its first paragraph. */
  join(): void {
    this.#joined = true
    this.#gap = 0
  }

  part(): void {
    this.#joined = false
    this.line()
  }

  endsWithDigit(): boolean {
    return this.#gap === 0 && /\d$/.test(this.#pieces.at(-1)?.slice(-1) ?? '')
  }

  text(): string {
    return this.#pieces
      .join('')
      .replace(/(?<![ \t])[ \t]+(?=\n)/g, '')
      .replace(/\n{3,}/g, '\n\n')
      .replace(/^\n+/, '')
      .trimEnd()
  }

  #push(text: string): void {
    if (this.#pieces.length > 0 && !this.#joined) this.#pieces.push(['', ' ', '\n', '\n\n'][this.#gap] ?? '')
    this.#pieces.push(text)
    this.#gap = 0
    this.#joined = false
  }

  #widen(gap: number): void {
    this.#gap = Math.max(this.#gap, gap)
  }
}
