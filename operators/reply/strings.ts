/** Strings as models write them: unescaped quotes, smart quotes, raw line ends, formulas with single backslashes. */

/** A string of the text, with its opening and closing quote. */
export interface FoundString {
  content: string
  /** Index after the closing quote. */
  end: number
  /** Whether it seems to have swallowed the key that follows it: its own end is then unknown. */
  torn: boolean
}

const closers: Readonly<Record<string, string>> = {
  '"': '"',
  '“': '”“"',
  '”': '”"',
  '„': '“”"',
  '«': '»',
  "'": "'",
  '‘': "’‘'",
  '’': "’'",
  '`': "`'",
}

/** The marks that open a string. */
export const quotes = Object.keys(closers).join('')

const key = new RegExp(String.raw`[${quotes}][^${quotes}\n]{1,80}[${quotes}»]\s*:`, 'y')
const bareKey = /[A-Za-z_$][\w$-]{0,80}\s*:/y
const keyInside = new RegExp(String.raw`[${quotes}][\w -]{1,40}[${quotes}»]\s*:`)
const closingBrackets = /[}\]\s,]{1,200}/y
/** How far to look over white space and comments: without it, a reply of quotes and slashes costs its square. */
const maxGap = 500

/**
 * Reads the string that opens at the index. A quote inside it that was not escaped is told from its end by what
 * follows: the next key, or the end of the object.
 *
 * @returns Null where the text ends first.
 */
export function readString(text: string, start: number, role: 'key' | 'value', inObject: boolean): FoundString | null {
  if (text.startsWith('"""', start)) return readTripleQuoted(text, start)
  const closing = closers[text.charAt(start)] ?? ''
  let clean = true
  let depth = 0
  for (let index = start + 1; index < text.length; index++) {
    const char = text.charAt(index)
    if (char === '\\') index++
    else if (closing.includes(char)) {
      const raw = () => text.slice(start + 1, index)
      const ends = role === 'key' ? endsKey(text, index, raw) : endsValue(text, index, inObject, clean, depth)
      if (ends) return { content: decode(raw()), end: index + 1, torn: !clean && keyInside.test(raw()) }
      clean = false
    } else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
  }
  return null
}

function readTripleQuoted(text: string, start: number): FoundString | null {
  const end = text.indexOf('"""', start + 3)
  return end < 0 ? null : { content: decode(text.slice(start + 3, end)), end: end + 3, torn: false }
}

function endsKey(text: string, index: number, raw: () => string): boolean {
  const next = text.charAt(skipGap(text, index + 1))
  return next === ':' || (quotes.includes(next) && /^\w{1,64}$/.test(raw()))
}

/**
 * @param clean - False once a quote was passed over: then nothing ends the string but what can't be prose.
 * @param depth - Brackets open in the string: a bracket that follows may close one of them.
 */
function endsValue(text: string, index: number, inObject: boolean, clean: boolean, depth: number): boolean {
  const after = skipGap(text, index + 1)
  const next = text.charAt(after)
  if (next === '') return clean
  if (next === '}' || next === ']') return depth <= 0 && (clean || endsEverything(text, after))
  if (next === ',') return endsBeforeComma(text, skipGap(text, after + 1), inObject, clean)
  if (!quotes.includes(next) || after === index + 1) return false
  return inObject ? matches(key, text, after) : text.slice(index, after).includes('\n')
}

function endsBeforeComma(text: string, after: number, inObject: boolean, clean: boolean): boolean {
  const next = text.charAt(after)
  if (next === '') return clean
  if (next === '}' || next === ']') return clean || endsEverything(text, after)
  if (!inObject) return quotes.includes(next) || (clean && /[{[\d]/.test(next))
  return matches(key, text, after) || (clean && matches(bareKey, text, after))
}

/** Whether closing brackets lead from here to the end of the text, of the line or of the fence. */
function endsEverything(text: string, start: number): boolean {
  closingBrackets.lastIndex = start
  const found = closingBrackets.exec(text)?.[0] ?? ''
  const next = text.charAt(start + found.length)
  return next === '' || next === '`' || found.includes('\n') || matches(key, text, start + found.length)
}

function matches(pattern: RegExp, text: string, index: number): boolean {
  pattern.lastIndex = index
  return pattern.test(text)
}

/** Index of the first character that is neither white space nor comment. */
export function skipGap(text: string, start: number): number {
  const limit = Math.min(text.length, start + maxGap)
  let index = start
  while (index < limit) {
    if (/\s/.test(text.charAt(index))) index++
    else if (text.startsWith('//', index)) index = endOf(text, '\n', index, limit)
    else if (text.startsWith('/*', index)) index = endOf(text, '*/', index, limit)
    else break
  }
  return index
}

function endOf(text: string, mark: string, start: number, limit: number): number {
  const found = text.slice(start, limit).indexOf(mark)
  return found < 0 ? limit : start + found + mark.length
}

/**
 * An escape, one at a time. The first two groups are formulas whose backslash was not doubled: a backspace or form feed
 * before a letter is never meant, and \times is no tab.
 */
const escapeSequence =
  /\\(?:(?<control>[bf])(?=[A-Za-z])|(?<formula>n(?:abla|eq|otin)|r(?:ho|ight|angle|ightarrow)|t(?:imes|ext|heta|an|au|ilde|o))(?![A-Za-z])|u(?<unicode>[0-9A-Fa-f]{4})|(?<other>[\s\S]))/g

const escapes: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '\n': '\n',
  '\\': '\\',
  '/': '/',
}

/** What the string stands for. A backslash that escapes nothing stays, so that \alpha is not lost. */
export function decode(raw: string): string {
  if (!raw.includes('\\')) return raw
  return raw.replace(escapeSequence, (whole, ...rest) => {
    const { unicode, other } = rest.at(-1) as Record<string, string | undefined>
    if (unicode) return String.fromCharCode(Number.parseInt(unicode, 16))
    if (other === undefined) return whole
    return escapes[other] ?? (quotes.includes(other) ? other : whole)
  })
}

/** Doubles the backslash of formulas that JSON would read as tab, line end, backspace or form feed. */
export function keepFormulas(json: string): string {
  if (!json.includes('\\')) return json
  return json.replace(escapeSequence, (whole, ...rest) => {
    const { control, formula } = rest.at(-1) as Record<string, string | undefined>
    return control || formula ? `\\${whole}` : whole
  })
}
