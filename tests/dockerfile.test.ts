import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DockerfileRun } from './support/dockerfile.ts'
import { removeFolder, temporaryFolder } from './support/situ.ts'

let folder: string
let image: DockerfileRun

beforeAll(() => {
  folder = temporaryFolder()
  image = new DockerfileRun(join(import.meta.dirname, '..'), folder)
  image.build()
}, 600_000)
afterAll(() => removeFolder(folder))

it('the image holds the built package and what it needs at run time, and nothing else', () => {
  const [stage = ''] = readdirSync(folder).filter(name => name !== 'build' && name !== 'modules')
  const app = join(folder, stage, 'app')
  expect(existsSync(join(app, 'streams/cli.js'))).toBe(true)
  expect(existsSync(join(app, 'node_modules/avsc'))).toBe(true)
  for (const name of ['node_modules/vitest', 'node_modules/typescript', 'tests', 'streams/cli.ts']) {
    expect(existsSync(join(app, name))).toBe(false)
  }
})

it('the entry point prints its help', () => {
  expect(image.run('--help')).toContain('Usage: situ COMMAND')
})

it('the entry point runs the demo', () => {
  const printed = image.run('demo')
  expect(printed).toContain('conservation ok')
  expect(printed).toContain('no language model')
}, 120_000)
