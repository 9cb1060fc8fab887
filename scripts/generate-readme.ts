/** Writes the tables of README.md from the code; with --check exits 1 where they are not fresh. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { type ErrorEntry, errorTable } from '../schemas/errors.ts'
import { anyOperator } from '../streams/chain/topology.ts'
import { endpointSchema, operatorKeys, settings } from '../streams/config/config.ts'
import { describeOption } from '../streams/terminal/options.ts'

const path = join(import.meta.dirname, '../README.md')

const row = (...cells: string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`

function settingsTable(): string[] {
  const rows = Object.entries(settings).map(([name, schema]) => {
    const { flag, variable, help, facts } = describeOption(name, schema)
    return row(`\`${flag}\``, `\`${variable}\``, `\`${name}\``, help, facts)
  })
  return [row('flag', 'environment', 'key', 'what', 'default, range, unit'), '|---|---|---|---|---|', ...rows]
}

/** A row for each key. @param cells - Stand before it. */
function keyRows(shape: z.core.$ZodShape, ...cells: string[]): string[] {
  return Object.entries(shape).map(([name, schema]) => {
    const { help, facts } = describeOption(name, schema as z.ZodType)
    return row(...cells, `\`${name}\``, help, facts)
  })
}

function modelsTable(): string[] {
  return [row('key', 'what', 'default, range'), '|---|---|---|', ...keyRows(endpointSchema.shape)]
}

function operatorsTable(): string[] {
  const rows = Object.values(anyOperator).flatMap(operator => {
    const own = keyRows((operator.options as z.ZodObject).shape, `\`${operator.name}\``)
    return own.length > 0 ? own : [row(`\`${operator.name}\``, '', 'no options of its own', '')]
  })
  return [
    row('operator', 'key', 'what', 'default, range'),
    '|---|---|---|---|',
    ...keyRows(operatorKeys, 'any'),
    ...rows,
  ]
}

function errorsTable(): string[] {
  const ends = { record: 'a dead letter', task: 'ends the task', run: 'ends the run' }
  const rows = Object.entries<ErrorEntry>(errorTable).map(([code, { retryable, stops, exit, help }]) =>
    row(`\`${code}\``, `${retryable ? 'retried, then ' : ''}${ends[stops]}`, String(exit), help),
  )
  return [row('code', 'what follows', 'exit', 'what to do'), '|---|---|---|---|', ...rows]
}

let text = readFileSync(path, 'utf8')
for (const [name, lines] of Object.entries({
  settings: settingsTable(),
  models: modelsTable(),
  operators: operatorsTable(),
  errors: errorsTable(),
})) {
  const [begin, end] = [`<!-- ${name}: generated, do not edit -->`, `<!-- end of ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md: the marks of ${name} are missing`)
  text = `${text.slice(0, from + begin.length)}\n${lines.join('\n')}\n${text.slice(to)}`
}

if (!process.argv.includes('--check')) writeFileSync(path, text)
else if (readFileSync(path, 'utf8') !== text) {
  console.error('README.md is not fresh: run "npm run generate"')
  process.exitCode = 1
}
