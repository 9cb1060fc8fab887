import { SituError } from '../schemas/errors.ts'
import type { Demonstration } from './demonstrations.ts'
import { hash } from './hash.ts'
import type { ChatMessage } from './model.ts'
import { type Placeholder, Template } from './template.ts'

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
  /** The placeholder of the text that is asked about, which is cut where it is too long. */
  readonly main: string
  /** Placeholders in use, demonstrations' own left out. */
  readonly placeholders: readonly string[]
  readonly #templates: Readonly<Record<Section, Template>>
  /** Filled in but for their numbers: the same few are shown in every call. */
  readonly #demonstrations = new WeakMap<Demonstration, Template>()

  /**
   * @param fields - The placeholders that the operator fills, that of the main text first.
   * @throws {SituError} PROMPT_INVALID with every problem of the file.
   */
  constructor(operator: string, text: string, fields: readonly string[]) {
    const problems: string[] = []
    const texts = split(text, problems)
    this.operator = operator
    this.text = join(texts)
    this.hash = hash(this.text)
    const [main = 'document'] = fields
    this.main = main
    const system = new Template(texts.system)
    const demonstration = new Template(texts.demonstration)
    const user = new Template(texts.user)
    this.#templates = { system, demonstration, user }
    const outside = [...system.placeholders, ...user.placeholders]
    this.placeholders = names(outside)
    for (const name of this.placeholders) {
      if (!fields.includes(name)) problems.push(`{{${name}}} is never filled (there are: ${fields.join(', ')})`)
    }
    for (const name of names(demonstration.placeholders)) {
      if (!(demonstrationFields as readonly string[]).includes(name)) {
        problems.push(`{{${name}}} in # demonstration is never filled (there are: ${demonstrationFields.join(', ')})`)
      }
    }
    if (!this.placeholders.includes(main)) problems.push(`{{${main}}} is missing`)
    for (const name of [main, 'demonstrations']) {
      const uses = outside.filter(use => use.name === name)
      if (uses.length > 1) problems.push(`{{${name}}} stands there more than once`)
      if (uses.some(({ json }) => json)) problems.push(`{{json ${name}}} is not possible`)
    }
    if (this.usesDemonstrations && !texts.demonstration) problems.push('# demonstration is missing')
    if (problems.length > 0) throw new SituError('PROMPT_INVALID', `prompt of ${operator}: ${problems.join('; ')}`)
  }

  get usesDemonstrations(): boolean {
    return this.placeholders.includes('demonstrations')
  }

  /** One demonstration as it stands in the messages; its number is not part of what it costs in tokens. */
  demonstrate(demonstration: Demonstration, number: number): string {
    let template = this.#demonstrations.get(demonstration)
    if (!template) {
      template = this.#templates.demonstration.with({ ...demonstration, number: undefined })
      this.#demonstrations.set(demonstration, template)
    }
    return template.fill({ number: String(number) })
  }

  /** The messages. What is filled in is never searched for placeholders. */
  fill(values: Readonly<Record<string, string>>, demonstrations: readonly Demonstration[] = []): ChatMessage[] {
    let shown = ''
    for (const [index, demonstration] of demonstrations.entries()) {
      // Added up rather than joined: the engine then copies the text once, when the whole is made.
      shown += `${index > 0 ? '\n\n' : ''}${this.demonstrate(demonstration, index + 1)}`
    }
    const filled = { ...values, demonstrations: shown }
    return [
      { role: 'system', content: this.#templates.system.fill(filled) },
      { role: 'user', content: this.#templates.user.fill(filled) },
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

function names(placeholders: readonly Placeholder[]): string[] {
  return [...new Set(placeholders.map(({ name }) => name))]
}
