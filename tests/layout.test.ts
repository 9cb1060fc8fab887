import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Prompt } from '../operators/prompt.ts'
import { schemas } from '../schemas/records.ts'
import { anyOperator } from '../streams/chain/topology.ts'
import { commandNames } from '../streams/commands/index.ts'

const root = join(import.meta.dirname, '..')

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => join(folder, file))
}

/** Paths that a file imports, from the root; packages as they are named. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  const names = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(match => match[1] ?? '')
  return names.map(name => (name.startsWith('.') ? relative(root, join(root, dirname(file), name)) : name))
}

const ours = /^(schemas|operators|streams|tests|scripts)\//

describe('layers', () => {
  it.each(sources('schemas'))('%s imports nothing of ours outside schemas', file => {
    expect(importsOf(file).filter(name => ours.test(name) && !name.startsWith('schemas/'))).toEqual([])
  })

  it.each(sources('operators'))('%s imports schemas and operators only, no clock, socket or environment', file => {
    expect(importsOf(file).filter(name => ours.test(name) && !/^(schemas|operators)\//.test(name))).toEqual([])
    expect(
      importsOf(file).filter(name =>
        /^(node:(net|http|https|process|timers|sqlite|child_process)|kafkajs|undici|pino)/.test(name),
      ),
    ).toEqual([])
    expect(readFileSync(join(root, file), 'utf8')).not.toMatch(
      /process\.env|Date\.now|new Date\(\)|Math\.random|\bfetch\(/,
    )
  })

  it('keeps SQLite, the HTTP client, the Redis client and kafkajs each in their folders', () => {
    const users = (name: string) => sources('streams').filter(file => importsOf(file).includes(name))
    expect(users('node:sqlite').filter(file => !/^streams\/(sqlite|transports\/embedded)\//.test(file))).toEqual([])
    expect(users('undici').filter(file => !/^streams\/(models|searches\/web)\//.test(file))).toEqual([])
    expect(users('@redis/client').filter(file => !file.startsWith('streams/spending/stores/redis'))).toEqual([])
    expect(users('kafkajs').filter(file => !file.startsWith('streams/transports/kafka/'))).toEqual([])
  })
})

describe('operators', () => {
  const all = Object.entries(anyOperator)

  it.each(all)('%s is listed under its own name and flows between records that have schemas', (name, operator) => {
    expect(operator.name).toBe(name)
    expect(Object.keys(schemas)).toEqual(expect.arrayContaining([operator.from, operator.to]))
    expect(operator.version).toBeGreaterThanOrEqual(1)
  })

  it.each(all)('%s has a default for every option', (_name, operator) => {
    expect(operator.options.safeParse({}).success).toBe(true)
  })

  it.each(all.filter(([, operator]) => operator.prompt))(
    'every placeholder of the prompt of %s is filled',
    (name, operator) => {
      const file = `${operator.prompt?.file ?? name}.md`
      const text = readFileSync(join(root, 'operators/prompts', file), 'utf8')
      const { placeholders } = new Prompt(name, text, operator.prompt?.fields ?? [])
      expect(placeholders).toContain(operator.prompt?.fields[0])
      expect(operator.messages).toBeTypeOf('function')
    },
  )

  it('every file that makes an operator is in the list', () => {
    const makers = readdirSync(join(root, 'operators'))
      .filter(file => file.endsWith('.ts'))
      .filter(file => /:\s*Operator<|\): Operator</.test(readFileSync(join(root, 'operators', file), 'utf8')))
    const listed = importsOf('operators/index.ts').map(name => basename(name))
    expect(makers.length).toBeGreaterThan(0)
    expect(makers.filter(file => !listed.includes(file))).toEqual([])
  })

  it('every prompt belongs to an operator', () => {
    const prompts = readdirSync(join(root, 'operators/prompts')).map(file => basename(file, '.md'))
    const used = all.map(([name, { prompt }]) => prompt?.file ?? name)
    expect(prompts.filter(name => !used.includes(name))).toEqual([])
  })
})

describe('tests', () => {
  it('every operator file has its test', () => {
    const listed = importsOf('operators/index.ts').filter(name => name.startsWith('operators/'))
    const missing = listed.filter(file => !existsSync(join(root, 'tests', file.replace(/\.ts$/, '.test.ts'))))
    expect(listed.length).toBeGreaterThan(0)
    expect(missing).toEqual([])
  })

  it('source folders hold no tests', () => {
    const inside = ['schemas', 'operators', 'streams'].flatMap(sources).filter(file => file.endsWith('.test.ts'))
    expect(inside).toEqual([])
  })
})

describe('lists', () => {
  it('every command file is a command', () => {
    const files = readdirSync(join(root, 'streams/commands'))
      .map(file => basename(file, '.ts'))
      .filter(file => file !== 'index')
    expect(files.sort()).toEqual([...commandNames].sort())
  })

  it('every schema field has a doc', () => {
    const walk = (schema: unknown): string[] => {
      if (Array.isArray(schema)) return schema.flatMap(walk)
      if (typeof schema !== 'object' || schema === null) return []
      const { name, doc, fields, type, items, values } = schema as Record<string, unknown>
      const own =
        (fields !== undefined || type !== undefined) && name !== undefined && doc === undefined && type !== 'enum'
      return [...(own ? [String(name)] : []), ...[fields, type, items, values].flatMap(walk)]
    }
    expect(Object.values(schemas).flatMap(walk)).toEqual([])
  })
})
