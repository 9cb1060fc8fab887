import { z } from 'zod'
import { closestName, nearestName } from './closest-name.ts'

/** Options by name, each a zod schema with a description; `.meta({ unit })` names the unit. */
export type OptionTable = Readonly<Record<string, z.ZodType>>
export type OptionValues<Table extends OptionTable> = { readonly [Name in keyof Table]: z.output<Table[Name]> }

/** What a help page, a table or an environment file says of an option. */
export interface OptionInfo {
  name: string
  flag: string
  variable: string
  type: 'boolean' | 'number' | 'string'
  repeatable: boolean
  help: string
  /** Default, range, choices and unit, in words. */
  facts: string
}

interface JsonSchema {
  type?: string
  enum?: unknown[]
  items?: JsonSchema
  anyOf?: JsonSchema[]
  default?: unknown
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
  description?: string
  unit?: string
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

export function describeOption(name: string, schema: z.ZodType): OptionInfo {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  const item = json.type === 'array' ? (json.items ?? {}) : json
  const type =
    item.type === 'integer' || item.type === 'number' ? 'number' : item.type === 'boolean' ? 'boolean' : 'string'
  return {
    name,
    flag: `--${kebab(name)}`,
    variable: `SITU_${kebab(name).replaceAll('-', '_').toUpperCase()}`,
    type,
    repeatable: json.type === 'array',
    help: json.description ?? '',
    facts: factsOf(json, item),
  }
}

function factsOf(json: JsonSchema, item: JsonSchema): string {
  const facts: string[] = []
  if (item.enum) facts.push(item.enum.join(' | '))
  const bounded = (value: number | undefined) => value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER
  if (bounded(item.minimum) && bounded(item.maximum)) facts.push(`${item.minimum} to ${item.maximum}`)
  else if (bounded(item.minimum)) facts.push(`at least ${item.minimum}`)
  else if (bounded(item.exclusiveMinimum)) facts.push(`more than ${item.exclusiveMinimum}`)
  if (json.unit) facts.push(json.unit)
  const given = json.default
  const isEmpty = given === undefined || (typeof given === 'object' && Object.keys(given ?? {}).length === 0)
  if (!isEmpty && given !== false) facts.push(`default ${String(given)}`)
  return facts.join('; ')
}

/** Longer lists of choices are for the help page. */
const maxFactsCharacters = 200

/** Where a value came from, as an error names it. */
interface Given {
  from: string
  value: unknown
}

/** One place that options come from: flags, the environment or the configuration file. */
export interface OptionSource {
  /** How an error names an option of this source. */
  label: (info: OptionInfo) => string
  value: (info: OptionInfo) => unknown
}

/**
 * The values of a table: from the first source that gives one, else the default. Frozen.
 *
 * @param problems - Gets a line for each value that is not allowed, naming option and value; its default is used.
 */
export function resolveOptions<Table extends OptionTable>(
  table: Table,
  sources: readonly OptionSource[],
  problems: string[],
): OptionValues<Table> {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(table)) {
    const info = describeOption(name, schema)
    const given = firstGiven(info, sources)
    const parsed = schema.safeParse(given?.value === null ? undefined : given && fromText(info, given.value))
    if (!parsed.success) problems.push(...parsed.error.issues.map(issue => describeIssue(issue, given, info)))
    values[name] = parsed.success ? parsed.data : schema.safeParse(undefined).data
  }
  return Object.freeze(values) as OptionValues<Table>
}

function firstGiven(info: OptionInfo, sources: readonly OptionSource[]): Given | undefined {
  for (const source of sources) {
    const value = source.value(info)
    if (value !== undefined) return { from: source.label(info), value }
  }
  return undefined
}

/** Flags and variables are text: numbers and booleans are read out of it, anything else stays for the check. */
function fromText({ type, repeatable }: OptionInfo, value: unknown): unknown {
  const one = (text: unknown) => {
    if (typeof text !== 'string') return text
    if (type === 'number' && /^-?\d+(\.\d+)?$/.test(text.trim())) return Number(text)
    if (type === 'boolean' && /^(true|1|yes|on)$/i.test(text)) return true
    if (type === 'boolean' && /^(false|0|no|off|)$/i.test(text)) return false
    return text
  }
  if (!repeatable) return one(value)
  return (typeof value === 'string' ? value.split(',') : Array.isArray(value) ? value : [value]).map(one)
}

function describeIssue(issue: z.core.$ZodIssue, given: Given | undefined, info: OptionInfo): string {
  const path = issue.path.length > 0 ? `.${issue.path.join('.')}` : ''
  const where = `${given?.from ?? info.flag}${path}`
  if (issue.code === 'unrecognized_keys') return `${where}: unknown key ${issue.keys.join(', ')}`
  if (given === undefined) return `${where} is missing`
  const shown = withoutCredentials(JSON.stringify(given.value) ?? 'nothing').slice(0, 120)
  const facts = info.facts && info.facts.length <= maxFactsCharacters ? ` (${info.facts})` : ''
  return `${where}: ${describeRule(issue, given.value)}, got ${shown}${facts}`
}

function describeRule(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'too_big') return 'too large'
  if (issue.code === 'too_small') return issue.origin === 'string' ? 'empty' : 'too small'
  if (issue.code === 'invalid_value') {
    const nearest = typeof value === 'string' ? nearestName(value, issue.values.map(String)) : null
    return nearest === null ? 'unknown value' : `unknown value (did you mean ${nearest}?)`
  }
  return issue.message.replace(/^Invalid input: /, '')
}

/** A text without what stands before the @ of an address. */
function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^\s"]*@/g, '//…@')
}

/** A line for each key that is none of the known ones, with the nearest. */
export function unknownKeys(where: string, keys: readonly string[], known: readonly string[]): string[] {
  return keys.filter(key => !known.includes(key)).map(key => `${where}: unknown key ${key}${closestName(key, known)}`)
}
