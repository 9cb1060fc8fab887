import type { Prompt } from '../prompt.ts'

/** The categories that a judge tells apart, each with the code that guard models answer with. */
export class HazardTable {
  /** In their order. */
  readonly names: readonly string[]
  readonly #byKey: ReadonlyMap<string, string>

  /** @param rows - Code and name of each. */
  constructor(rows: readonly (readonly [code: string, name: string])[]) {
    this.names = rows.map(([, name]) => name)
    this.#byKey = new Map(rows.flatMap(([code, name]) => [code, name].map(key => [keyOf(key), name] as const)))
  }

  /** The category that a code or a name stands for, however it is written; undefined for none. */
  nameOf(said: string): string | undefined {
    // Some write both: "S1: Violent Crimes".
    const [, code = said] = /^\W*(S\d{1,2})\b/i.exec(said) ?? []
    return this.#byKey.get(keyOf(code))
  }
}

/** Letters and digits alone: "Violent Crimes" and "violent_crimes" are the same. */
function keyOf(said: string): string {
  return said.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** The taxonomy of MLCommons, as Llama Guard 3 and 4 number it. */
export const hazards = new HazardTable(
  [
    'violent-crimes',
    'non-violent-crimes',
    'sex-related-crimes',
    'child-sexual-exploitation',
    'defamation',
    'specialized-advice',
    'privacy',
    'intellectual-property',
    'indiscriminate-weapons',
    'hate',
    'suicide-self-harm',
    'sexual-content',
    'elections',
    'code-interpreter-abuse',
  ].map((name, index) => [`S${index + 1}`, name]),
)

const row = /^- `([a-z][a-z0-9-]*)` \((S\d{1,2})\):/gm
const tables = new WeakMap<Prompt, HazardTable>()

/** The table in a prompt: each line that begins as "- `hate` (S10):" is a category. It may be empty. */
export function tableIn(prompt: Prompt): HazardTable {
  const known = tables.get(prompt)
  if (known) return known
  const table = new HazardTable([...prompt.text.matchAll(row)].map(([, name = '', code = '']) => [code, name]))
  tables.set(prompt, table)
  return table
}
