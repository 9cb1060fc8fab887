/** What a bench or a chaos run prints: figures, and the goals that were missed. */

export interface Figure {
  name: string
  value: number
  unit?: string
  /** Such as `<= 2`. */
  goal?: { most: number } | { least: number }
}

export interface ScriptOptions {
  short: boolean
  json: boolean
  check: boolean
  /** `--name=value` words. */
  values: Readonly<Record<string, string>>
}

export function parseScript(words: readonly string[]): ScriptOptions {
  const values: Record<string, string> = {}
  for (const word of words) {
    const [name = '', value] = word.replace(/^--/, '').split('=')
    if (value !== undefined) values[name] = value
  }
  const has = (flag: string) => words.includes(flag)
  return { short: has('--short'), json: has('--json'), check: has('--check'), values }
}

/** Prints the figures; with --json the last line is one object; with --check a missed goal sets the exit code. */
export function report(name: string, figures: readonly Figure[], options: ScriptOptions): void {
  const missed: string[] = []
  for (const { name, value, unit, goal } of figures) {
    const wanted = goal && ('most' in goal ? `at most ${goal.most}` : `at least ${goal.least}`)
    const isMissed = goal !== undefined && ('most' in goal ? !(value <= goal.most) : !(value >= goal.least))
    if (isMissed) missed.push(`${name}: ${round(value)} (${wanted})`)
    console.log(
      `${name}: ${round(value)}${unit ? ` ${unit}` : ''}${wanted ? ` (goal ${wanted})` : ''}${isMissed ? ' MISSED' : ''}`,
    )
  }
  if (options.json) {
    const values = Object.fromEntries(figures.map(({ name, value }) => [name, round(value)]))
    console.log(JSON.stringify({ name, figures: values, missed }))
  }
  if (options.check && missed.length > 0) process.exitCode = 1
}

function round(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
