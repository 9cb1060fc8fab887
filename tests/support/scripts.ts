import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseScript, type ScriptOptions } from './figures.ts'

/**
 * Runs `<folder>/<name>.ts`, which exports `run(options)`, one after the other where several are named, with commas
 * between; without known names it lists them and exits 2.
 */
export async function runScript(folder: string, words: readonly string[]): Promise<void> {
  const known = readdirSync(folder)
    .filter(file => file.endsWith('.ts') && file !== 'index.ts')
    .map(file => file.slice(0, -3))
  const names = (words[0] ?? '').split(',')
  const unknown = names.find(name => !known.includes(name))
  if (unknown !== undefined) {
    console.error(`unknown name ${unknown || '(none)'}; there are: ${known.join(', ')}`)
    process.exitCode = 2
    return
  }
  for (const name of names) {
    const begin = performance.now()
    const script: { run: (options: ScriptOptions) => Promise<void> } = await import(join(folder, `${name}.ts`))
    await script.run(parseScript(words.slice(1)))
    if (names.length > 1) console.log(`${name}: ${((performance.now() - begin) / 1000).toFixed(0)} s\n`)
  }
}
