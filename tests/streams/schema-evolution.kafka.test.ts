import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfluentRegistry } from '../../streams/registries/confluent.ts'
import { openKafka } from '../../streams/transports/kafka/index.ts'
import { kafkaServices, uniquePrefix } from '../support/kafka.ts'
import { mustSitu, removeFolder, Situ, type SituOptions, situ, temporaryFolder } from '../support/situ.ts'

type Field = { name: string; type: unknown; default?: unknown; doc?: string }

const root = join(import.meta.dirname, '../..')
const prefix = uniquePrefix().slice(0, -1)
let folder: string
let env: Record<string, string>
beforeAll(() => {
  folder = temporaryFolder()
  const { brokers, registry } = kafkaServices()
  env = { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: prefix }
})
afterAll(() => removeFolder(folder))

/** Another version of Situ, which has other fields in `article` and `document`. @returns Its command. */
function versionWith(name: string, change: (fields: Field[]) => Field[]): string {
  const version = join(folder, name)
  for (const path of ['package.json', 'schemas', 'operators', 'streams']) {
    cpSync(join(root, path), join(version, path), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(version, 'node_modules'))
  for (const noun of ['article', 'document']) {
    const path = join(version, `schemas/${noun}.avsc`)
    const schema = JSON.parse(readFileSync(path, 'utf8')) as { fields: Field[] }
    writeFileSync(path, JSON.stringify({ ...schema, fields: change(schema.fields) }))
  }
  execFileSync(process.execPath, [join(version, 'schemas/generate.ts')], { cwd: version })
  return join(version, 'streams/cli.ts')
}

const licence: Field = { name: 'licence', type: ['null', 'string'], default: null, doc: 'Licence of the text.' }
const run = (options: SituOptions) => {
  const words = ['run', 'extract', 'dedupe-document', '--follow', '--log-level', 'debug']
  return new Situ(words, { env, cwd: folder, ...options })
}
const tasksOf = ({ stderr }: Situ) => stderr.match(/task taken/g)?.length ?? 0
const pageCount = 200
const sentences = (number: number) => `Station ${number} has measured the river since 19${number}. `.repeat(20)

describe('a new optional field', () => {
  it('loses nothing where old and new workers are side by side', async () => {
    const cli = versionWith('newer', fields => [...fields, licence])
    await mustSitu(['topics', '--create', '--partitions', '4'], { env, cwd: folder })
    const old = run({})
    await expect.poll(() => tasksOf(old), { timeout: 20_000 }).toBe(8)
    const newer = run({ cli })
    await expect.poll(() => tasksOf(newer), { timeout: 20_000 }).toBeGreaterThan(3)
    const lines = Array.from({ length: pageCount }, (_, number) => JSON.stringify({ text: sentences(number) }))
    await mustSitu(['ingest', '-'], { env, cwd: folder, input: lines.join('\n') })
    const status = async () => JSON.parse((await situ(['topics', '--json'], { env, cwd: folder })).stdout).operators
    await expect
      .poll(async () => (await status())['dedupe-document'], { timeout: 40_000 })
      .toMatchObject({ in: pageCount, done: pageCount, failed: {}, lag: 0 })
    for (const worker of [old, newer]) worker.child.kill('SIGTERM')
    expect((await Promise.all([old.done, newer.done])).map(({ code }) => code)).toEqual([0, 0])
    const verified = await situ(['topics', '--verify', '--json'], { env, cwd: folder })
    expect(JSON.parse(verified.stdout)).toMatchObject({ conservation: 'ok', differences: [] })
    expect(await writersOf('article')).toHaveLength(2)
    expect(await writersOf('document')).toHaveLength(2)
    const rows = async (options: SituOptions) => {
      const { stdout } = await mustSitu(['export', 'document', '--out', '-'], { env, cwd: folder, ...options })
      return stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as { id: string; licence?: null })
    }
    const [asOld, asNew] = [await rows({}), await rows({ cli })]
    expect(new Set(asOld.map(({ id }) => id)).size).toBe(pageCount)
    expect(asOld).toHaveLength(pageCount)
    expect(asNew.map(({ licence, ...row }) => [licence, row])).toEqual(asOld.map(row => [null, row]))
    // An old worker starts although a newer version is registered.
    await mustSitu(['run', 'extract', 'dedupe-document'], { env, cwd: folder })
  }, 120_000)
})

describe('an incompatible change', () => {
  it.each([
    [
      'another type',
      (fields: Field[]) => fields.map(field => (field.name === 'text' ? { ...field, type: 'int' } : field)),
      'field text',
    ],
    [
      'a new field without a default',
      (fields: Field[]) => [...fields, { ...licence, name: 'rights', default: undefined }],
      'field rights',
    ],
  ])(
    'is refused before anything is written: %s',
    async (what, change, told) => {
      const cli = versionWith(what, change)
      const before = await stateOf()
      for (const words of [
        ['run', 'extract'],
        ['ingest', '-', '--as', 'article'],
        ['topics', '--create'],
      ]) {
        const { code, stderr } = await situ(words, { env, cwd: folder, cli, input: 'A text of some length.' })
        expect([code, stderr]).toEqual([1, expect.stringContaining('SCHEMA_INCOMPATIBLE')])
        expect(stderr).toMatch(new RegExp(`subject ${prefix}\\.(article|document)-value, level BACKWARD`))
        expect(stderr).toContain(told)
      }
      expect(await stateOf()).toEqual(before)
    },
    60_000,
  )
})

async function open() {
  return openKafka({ brokers: kafkaServices().brokers, prefix })
}

/** Ids of the schemas that the messages of a topic were written with. */
async function writersOf(topic: string): Promise<number[]> {
  const transport = await open()
  const ids = new Set<number>()
  for (const partition of [0, 1, 2, 3]) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) if (value) ids.add(Buffer.from(value).readUInt32BE(1))
    }
  }
  await transport.close()
  return [...ids]
}

/** Ends of all partitions, and versions of the subjects. */
async function stateOf() {
  const transport = await open()
  const { bounds } = await transport.survey('task')
  await transport.close()
  const registry = new ConfluentRegistry({ url: kafkaServices().registry, auth: null, ca: null })
  const versions = await Promise.all(['article', 'document'].map(noun => registry.versions(`${prefix}.${noun}-value`)))
  return {
    bounds: bounds
      .filter(({ end }) => end > 0)
      .map(place => JSON.stringify(place))
      .sort(),
    versions,
  }
}
