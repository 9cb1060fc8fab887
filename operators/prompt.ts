import { SituError } from '../schemas/errors.ts'
import type { Demonstration } from './demonstrations.ts'
import { hash } from './hash.ts'
import type { ChatMessage } from './model.ts'

const sections = ['system', 'demonstration', 'user'] as const
type Section = (typeof sections)[number]

const demonstrationFields = [
  'number',
  'document',
  'user',
  'motivation',
  'scene',
  'ability',
  'knowledge',
  'extraInformation',
  'output',
  'thought',
  'instruction',
] as const satisfies readonly (keyof Demonstration | 'number')[]

const placeholder = /\{\{\s*(json\s+)?([A-Za-z]+)\s*\}\}/g

/**
 * A prompt file: Markdown with the headings `# system`, `# demonstration` (optional, once for each demonstration) and
 * `# user`; `{{name}}` is a placeholder, `{{json name}}` the same value as a JSON string, and `{{demonstrations}}`
 * stands for all demonstrations. What stands before the first heading is for people: no part of the prompt.
 */
export class Prompt {
  readonly operator: string
  /** The sections with their headings, in one form whatever the spacing of the file. */
  readonly text: string
  readonly hash: string
  /** Placeholders in use, demonstrations' own left out. */
  readonly placeholders: readonly string[]
  readonly #sections: Readonly<Record<Section, string>>

  /**
   * @param fields - The placeholders that the operator fills; it must be given each that the file names.
   * @throws {SituError} PROMPT_INVALID with every problem of the file.
   */
  constructor(operator: string, text: string, fields: readonly string[]) {
    const problems: string[] = []
    this.operator = operator
    this.#sections = split(text, problems)
    this.text = join(this.#sections)
    this.hash = hash(this.text)
    const outsideText = `${this.#sections.system}\n${this.#sections.user}`
    const outside = names(outsideText)
    this.placeholders = outside
    for (const name of outside) {
      if (!fields.includes(name)) problems.push(`{{${name}}} is never filled (there are: ${fields.join(', ')})`)
    }
    for (const name of names(this.#sections.demonstration)) {
      if (!(demonstrationFields as readonly string[]).includes(name)) {
        problems.push(`{{${name}}} in # demonstration is never filled (there are: ${demonstrationFields.join(', ')})`)
      }
    }
    if (!outside.includes('document')) problems.push('{{document}} is missing')
    for (const name of ['document', 'demonstrations']) {
      const uses = [...outsideText.matchAll(placeholder)].filter(match => match[2] === name)
      if (uses.length > 1) problems.push(`{{${name}}} stands there more than once`)
      if (uses.some(match => match[1])) problems.push(`{{json ${name}}} is not possible`)
    }
    if (this.usesDemonstrations && !this.#sections.demonstration) problems.push('# demonstration is missing')
    if (problems.length > 0) throw new SituError('PROMPT_INVALID', `prompt of ${operator}: ${problems.join('; ')}`)
  }

  get usesDemonstrations(): boolean {
    return this.placeholders.includes('demonstrations')
  }

  /** One demonstration as it stands in the messages; its number is not part of what it costs in tokens. */
  demonstrate(demonstration: Demonstration, number: number): string {
    const { demonstration: template } = this.#sections
    return fill(template, { ...demonstration, number: String(number) })
  }

  /** The messages. What is filled in is never searched for placeholders. */
  fill(values: Readonly<Record<string, string>>, demonstrations: readonly Demonstration[] = []): ChatMessage[] {
    const shown = demonstrations.map((demonstration, index) => this.demonstrate(demonstration, index + 1)).join('\n\n')
    const filled = { ...values, demonstrations: shown }
    return [
      { role: 'system', content: fill(this.#sections.system, filled) },
      { role: 'user', content: fill(this.#sections.user, filled) },
    ]
  }
}

function split(text: string, problems: string[]): Record<Section, string> {
  const found: Record<Section, string> = { system: '', demonstration: '', user: '' }
  const parts = text.replaceAll('\r\n', '\n').split(/^# (.*)$/m)
  for (let index = 1; index < parts.length; index += 2) {
    const name = (parts[index] ?? '').trim() as Section
    if (sections.includes(name)) found[name] = (parts[index + 1] ?? '').trim()
    else problems.push(`heading "# ${name}" is none of ${sections.map(section => `# ${section}`).join(', ')}`)
  }
  for (const name of ['system', 'user'] as const) if (!found[name]) problems.push(`# ${name} is missing or empty`)
  return found
}

function join(parts: Readonly<Record<Section, string>>): string {
  return sections.flatMap(name => (parts[name] ? [`# ${name}\n${parts[name]}\n`] : [])).join('\n')
}

function names(template: string): string[] {
  return [...new Set([...template.matchAll(placeholder)].map(match => match[2] ?? ''))]
}

function fill(template: string, values: Readonly<Record<string, unknown>>): string {
  return template.replace(placeholder, (whole, json: string | undefined, name: string) => {
    const value = values[name]
    if (typeof value !== 'string') return whole
    return json ? JSON.stringify(value) : value
  })
}
