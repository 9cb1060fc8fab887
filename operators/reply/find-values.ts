import { jsonrepair } from 'jsonrepair'
import { decode, keepFormulas, quotes, readString, skipGap } from './strings.ts'

/** What stands in a text where a JSON object, or a list of objects, begins. */
export type Found =
  | { kind: 'value'; value: unknown; repaired: boolean; rest: string }
  /** The text ends inside it. */
  | { kind: 'cut' }
  /** It ends, but can't be read. */
  | { kind: 'broken'; text: string; problem: string }

/** An object that may open here: a brace before a key, a closing brace or the end; or a list of objects. */
const opening = new RegExp(String.raw`\{(?=\s*(?:[${quotes}\\},]|[A-Za-z_$][\w$-]*\s*:|/[/*]|$))|\[(?=\s*\{)`, 'g')
/** An object that surely opens here, so that what is missing is its end. */
const surelyOpening = new RegExp(
  String.raw`\[|\{\s*(?:\\?[${quotes}][^${quotes}\n]{0,80}(?:[${quotes}»]\s*:|\\?$)|[A-Za-z_$][\w$-]{0,80}\s*:|/[/*]|$)`,
  'y',
)
const escapedOpening = new RegExp(String.raw`\{\s*\\[${quotes}]`, 'y')
/** The repair copies its text for each fault; longer ones than this were never seen in replies. */
const maxRepairChars = 20_000
const marker = '\ue000'

/**
 * Finds the JSON objects of a text in order, whatever stands around them. Fences need no care: they are no JSON.
 *
 * Stops at the first object that the text ends in. Reads the text at most a few times over, whatever it holds.
 */
export function findValues(text: string, escaped = false): Found[] {
  const found: Found[] = []
  let budget = 8 * text.length + 100_000
  opening.lastIndex = 0
  for (let match = nextOpening(text, 0); match && budget > 0; ) {
    const start = match.index
    if (!escaped && matches(escapedOpening, text, start)) {
      return [...found, ...findValues(decode(text.slice(start)), true)]
    }
    const { end, value } = readAt(text, start)
    budget -= 2 * (end - start)
    if (value) found.push(value)
    if (value?.kind === 'cut') return found
    match = nextOpening(text, value ? end : start + 1)
  }
  return found
}

/**
 * Whether an object ended too early, at a quote and a brace that belong into its last string: the rest then holds the
 * end of a string and of an object that do not begin there, or goes on behind a string with an open brace.
 */
export function endsTooEarly(value: Record<string, unknown>, rest: string): boolean {
  const isAlone = /^[ \t\]},]*(?:[\r\n]|```|~~~|$)/.test(rest)
  return endsAnother(rest) || (!isAlone && Object.values(value).some(text => typeof text === 'string' && isOpen(text)))
}

function endsAnother(rest: string): boolean {
  let depth = 0
  let last = ' '
  for (const char of rest) {
    if (char === '{') depth++
    else if (char === '}' && depth === 0 && quotes.includes(last)) return true
    else if (char === '}') depth = Math.max(0, depth - 1)
    if (char.trim() !== '') last = char
  }
  return false
}

function isOpen(text: string): boolean {
  return text.split('{').length > text.split('}').length
}

function nextOpening(text: string, from: number): RegExpExecArray | null {
  opening.lastIndex = from
  return opening.exec(text)
}

function matches(pattern: RegExp, text: string, index: number): boolean {
  pattern.lastIndex = index
  return pattern.test(text)
}

function readAt(text: string, start: number): { end: number; value: Found | null } {
  const strict = strictEnd(text, start)
  if (strict > 0) {
    try {
      const value: unknown = JSON.parse(keepFormulas(text.slice(start, strict)))
      return { end: strict, value: { kind: 'value', value, repaired: false, rest: text.slice(strict) } }
    } catch {
      // No JSON as it stands; the lenient reading follows.
    }
  }
  const skeleton = new Skeleton(text, start)
  if (skeleton.end > 0) return { end: skeleton.end, value: skeleton.repair() }
  const cut: Found | null = matches(surelyOpening, text, start) ? { kind: 'cut' } : null
  return { end: text.length, value: cut }
}

/** Index after the value by the rules of JSON; 0 where the text ends first. */
function strictEnd(text: string, start: number): number {
  let depth = 0
  let inString = false
  for (let index = start; index < text.length; index++) {
    const char = text.charAt(index)
    if (inString) {
      if (char === '\\') index++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth === 0) return index + 1
  }
  return 0
}

/**
 * A value with its strings taken out, so that the repair sees only what is around them: it can then neither close a
 * string nor take a part of one for a key.
 */
class Skeleton {
  /** Index after the value; 0 where the text ends first. */
  readonly end: number
  readonly #text: string
  readonly #start: number
  readonly #strings: string[] = []
  readonly #open: string[] = []
  #written = ''
  #role: 'key' | 'value' = 'value'
  #torn = false
  #unquoted = false

  constructor(text: string, start: number) {
    this.#text = text
    this.#start = start
    this.end = this.#read()
  }

  repair(): Found {
    const text = this.#text.slice(this.#start, this.end)
    if (this.#torn) return { kind: 'broken', text, problem: 'a string holds quotes that are not escaped' }
    if (this.#written.length > maxRepairChars) return { kind: 'broken', text, problem: 'it is no JSON' }
    try {
      const value = this.#restore(JSON.parse(jsonrepair(this.#written)))
      if (this.#unquoted) return { kind: 'broken', text, problem: 'a string has no quotes around it' }
      return { kind: 'value', value, repaired: true, rest: this.#text.slice(this.end) }
    } catch (error) {
      return { kind: 'broken', text, problem: `it is no JSON (${error instanceof Error ? error.message : error})` }
    }
  }

  #read(): number {
    let index = this.#start
    while (index < this.#text.length) {
      const char = this.#text.charAt(index)
      const gap = skipGap(this.#text, index)
      if (gap > index) {
        this.#written += ' '
        index = gap
      } else if (quotes.includes(char)) {
        index = this.#readString(index)
        if (index === 0) return 0
      } else {
        index++
        this.#readMark(char)
        if (this.#open.length === 0) return index
      }
    }
    return 0
  }

  #readString(index: number): number {
    const found = readString(this.#text, index, this.#role, this.#open.at(-1) === '{')
    if (!found) return 0
    this.#torn ||= found.torn
    this.#written += `"${marker}${this.#strings.push(found.content) - 1}"`
    this.#role = this.#role === 'key' || this.#open.at(-1) === '[' ? 'value' : 'key'
    return found.end
  }

  #readMark(char: string): void {
    if (char === '{' || char === '[') {
      this.#open.push(char)
      this.#role = char === '{' ? 'key' : 'value'
    } else if (char === '}' || char === ']') {
      // A bracket of the other kind closes nothing: what it should have closed stays open, and is cut off.
      if (this.#open.at(-1) !== (char === '}' ? '{' : '[')) return
      this.#open.pop()
      this.#role = this.#open.at(-1) === '{' ? 'key' : 'value'
    } else if (char === ':') this.#role = 'value'
    else if (char === ',') this.#role = this.#open.at(-1) === '{' ? 'key' : 'value'
    else if (char === marker) return
    this.#written += char
  }

  #restore(value: unknown): unknown {
    if (typeof value === 'string') {
      if (!value.startsWith(marker)) this.#unquoted = true
      return this.#stringOf(value)
    }
    if (Array.isArray(value)) return value.map(item => this.#restore(item))
    if (value === null || typeof value !== 'object') return value
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([name, inner]) => [this.#stringOf(name), this.#restore(inner)]))
  }

  #stringOf(token: string): string {
    return token.startsWith(marker) ? (this.#strings[Number(token.slice(marker.length))] ?? '') : token
  }
}
