/** A place to be filled: `{{name}}`, or `{{json name}}` for the value as a JSON string. */
export interface Placeholder {
  name: string
  json: boolean
  /** As it stands in the text, and stays where it gets no value. */
  text: string
}

const pattern = /\{\{\s*(json\s+)?([A-Za-z]+)\s*\}\}/g

type Part = string | Placeholder
type Values = Readonly<Record<string, unknown>>

/** A text with places to be filled, taken apart once. What is filled in is never searched for places. */
export class Template {
  readonly placeholders: readonly Placeholder[]
  readonly #parts: readonly Part[]

  constructor(text: string | readonly Part[]) {
    this.#parts = typeof text === 'string' ? partsOf(text) : text
    this.placeholders = this.#parts.filter(part => typeof part !== 'string')
  }

  /** The text with the values; a place without a string stays as it is. */
  fill(values: Values): string {
    let filled = ''
    for (const part of this.#parts) filled += typeof part === 'string' ? part : (filledIn(part, values) ?? part.text)
    return filled
  }

  /** The template that is left where only some of the values are known. */
  with(values: Values): Template {
    const parts: Part[] = []
    for (const part of this.#parts) {
      const next = typeof part === 'string' ? part : (filledIn(part, values) ?? part)
      const last = parts.at(-1)
      if (typeof next === 'string' && typeof last === 'string') parts[parts.length - 1] = last + next
      else parts.push(next)
    }
    return new Template(parts)
  }
}

function partsOf(text: string): Part[] {
  const parts: Part[] = []
  let end = 0
  for (const match of text.matchAll(pattern)) {
    const [whole, json, name = ''] = match
    parts.push(text.slice(end, match.index), { name, json: json !== undefined, text: whole })
    end = match.index + whole.length
  }
  return [...parts, text.slice(end)]
}

function filledIn({ name, json }: Placeholder, values: Values): string | null {
  const value = values[name]
  if (typeof value !== 'string') return null
  return json ? JSON.stringify(value) : value
}
