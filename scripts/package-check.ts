/** Packs dist/, installs the tarball into an empty folder as a user would, and runs the command from there. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const dist = join(dirname(import.meta.dirname), 'dist')
const folder = mkdtempSync(join(tmpdir(), 'situ-package-'))

function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Type stripping does not work below node_modules: a stray .ts would fail only at the user's. */
function checkFiles(installed: string): void {
  const names = readdirSync(installed, { recursive: true, encoding: 'utf8' })
  const sources = names.filter(name => /(?<!\.d)\.ts$/.test(name) && !name.startsWith('node_modules'))
  if (sources.length > 0) throw new Error(`package: holds TypeScript sources: ${sources.join(', ')}`)
  for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'streams/sample/pages.jsonl', 'schemas/page.avsc']) {
    if (!existsSync(join(installed, name))) throw new Error(`package: ${name} is missing`)
  }
}

try {
  const [packed] = JSON.parse(run('npm', 'pack', dist, '--json', '--pack-destination', folder)) as [
    { filename: string; size: number; entryCount: number },
  ]
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  run('npm', 'install', '--no-audit', '--no-fund', join(folder, packed.filename))
  checkFiles(join(folder, 'node_modules/situ'))
  const help = run(join(folder, 'node_modules/.bin/situ'), '--help')
  if (!help.includes('situ')) throw new Error(`package: situ --help printed ${JSON.stringify(help.slice(0, 200))}`)
  const demo = run(join(folder, 'node_modules/.bin/situ'), 'demo')
  if (!demo.includes('conservation ok'))
    throw new Error(`package: situ demo printed ${JSON.stringify(demo.slice(-500))}`)
  console.log(`package: ${packed.filename}, ${packed.entryCount} files, ${packed.size} bytes; its demo works`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
