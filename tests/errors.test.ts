import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, errorTable, SituError } from '../schemas/errors.ts'

const root = join(import.meta.dirname, '..')
const codes = Object.keys(errorTable) as ErrorCode[]
/** Codes that were in use once: they are not used again. */
const retired: string[] = []

function textOf(folder: string, but: RegExp): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts') && !but.test(file))
    .map(file => readFileSync(join(root, folder, file), 'utf8'))
    .join('\n')
}

const source = ['schemas', 'operators', 'streams']
  .map(folder => textOf(folder, /schemas\/errors\.ts|records\.ts/))
  .join('\n')
const tests = textOf('tests', /^errors\.test\.ts$/)
const readme = readFileSync(join(root, 'README.md'), 'utf8')

describe('error table', () => {
  it.each(codes)('%s is in the README with its help', code => {
    const row = readme.split('\n').find(line => line.startsWith(`| \`${code}\` |`))
    expect(row).toBeDefined()
    expect(row).toContain(errorTable[code].help.replaceAll('|', '\\|'))
  })

  it.each(codes)('%s is raised by the source and named by a test', code => {
    expect({ raised: source.includes(`'${code}'`), tested: tests.includes(code) }).toEqual({
      raised: true,
      tested: true,
    })
  })

  it('the README names no code that does not exist', () => {
    const named = [...readme.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(match => match[1] ?? '')
    expect(named.filter(code => /_/.test(code) && !codes.includes(code as ErrorCode))).toEqual([])
  })

  it('uses no retired code again', () => {
    expect(codes.filter(code => retired.includes(code))).toEqual([])
  })

  it('an error tells its rule from the table and keeps its cause', () => {
    const cause = new Error('socket hang up')
    const error = new SituError('MODEL_UNREACHABLE', 'big: nothing answers', { cause })
    expect([error.retryable, error.stops, error.cause]).toEqual([true, 'record', cause])
  })
})
