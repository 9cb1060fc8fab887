/** Writes dist/, the published package: plain JavaScript, since Node strips no types below node_modules. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const dist = join(root, 'dist')

/** Folders of files that are read at run time, with the ending of those that go along. */
const assets = [
  ['schemas', '.avsc'],
  ['operators/prompts', '.md'],
  ['operators/demonstrations', '.json'],
  ['streams/sample', ''],
] as const
const documents = ['README.md', 'LICENSE', 'CHANGELOG.md']

/** The compiler has told the user what is wrong: no stack on top. */
function compile(): void {
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
}

function copyAssets(folder: string, ending: string): void {
  let copied = 0
  cpSync(join(root, folder), join(dist, folder), {
    recursive: true,
    filter: path => {
      if (statSync(path).isDirectory()) return true
      const wanted = path.endsWith(ending)
      if (wanted) copied++
      return wanted
    },
  })
  if (copied === 0) throw new Error(`build: ${folder} holds no file that ends in "${ending}"`)
}

function writeManifest(): string {
  const { name, version, description, license, type, bin, dependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const command = bin.situ.replace(/\.ts$/, '.js')
  const manifest = {
    name,
    version,
    description,
    license,
    type,
    engines: { node: '>=24' },
    bin: { situ: command },
    files: ['schemas', 'operators', 'streams', 'CHANGELOG.md'],
    dependencies,
  }
  writeFileSync(join(dist, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return join(dist, command)
}

rmSync(dist, { recursive: true, force: true })
compile()
for (const [folder, ending] of assets) copyAssets(folder, ending)
for (const name of documents) copyFileSync(join(root, name), join(dist, name))
const command = writeManifest()
if (!readFileSync(command, 'utf8').startsWith('#!/usr/bin/env node\n'))
  throw new Error(`build: ${command} has no shebang`)
chmodSync(command, 0o755)
