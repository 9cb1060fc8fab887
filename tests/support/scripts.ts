import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseScript, type ScriptOptions } from './figures.ts'

/** Runs `<folder>/<name>.ts`, which exports `run(options)`; without a known name it lists them and exits 2. */
export async function runScript(folder: string, words: readonly string[]): Promise<void> {
  const names = readdirSync(folder)
    .filter(file => file.endsWith('.ts') && file !== 'index.ts')
    .map(file => file.slice(0, -3))
  const [name = ''] = words
  if (!names.includes(name)) {
    console.error(`unknown name ${name || '(none)'}; there are: ${names.join(', ')}`)
    process.exitCode = 2
    return
  }
  const script: { run: (options: ScriptOptions) => Promise<void> } = await import(join(folder, `${name}.ts`))
  await script.run(parseScript(words.slice(1)))
}
