import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { knownVariables } from '../streams/config/config.ts'
import { parseDockerfile } from './support/dockerfile.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const composeText = read('docker-compose.yml')
const file: unknown = parse(composeText, { merge: true })
const instructions = parseDockerfile(read('Dockerfile'))

const service = z.looseObject({
  image: z.string(),
  environment: z.record(z.string(), z.union([z.string(), z.number(), z.null()])).default({}),
  command: z.array(z.string()).optional(),
  healthcheck: z.looseObject({}),
  depends_on: z.record(z.string(), z.looseObject({ condition: z.string() })).default({}),
  volumes: z.array(z.string()).default([]),
})
const { services, volumes } = z
  .looseObject({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.unknown()) })
  .parse(file)
const each = Object.entries(services)

/** A name with a tag that is a whole version, such as 4.1.0 or 24.21.0-slim. */
const pinned = /^[a-z0-9./-]+:\d+\.\d+\.\d+(-[a-z0-9.]+)?$/

describe('docker-compose.yml', () => {
  it('keeps to the schema of the compose specification', () => {
    const schema = JSON.parse(read('node_modules/dclint/schemas/compose.schema.json'))
    const validate = new Ajv({ strict: false, validateFormats: false }).compile({ ...schema, $schema: undefined })
    expect(validate(file) ? [] : validate.errors).toEqual([])
    expect(validate({ services: { kafka: { imagge: 'apache/kafka' } } })).toBe(false)
  })

  it.each(each)('%s has an image of one version and a healthcheck', (_name, { image, healthcheck }) => {
    expect(image).toMatch(pinned)
    expect(Object.keys(healthcheck)).not.toEqual([])
  })

  it.each(each)('%s sets no variable that Situ does not know, and no secret', (_name, { environment }) => {
    const own = Object.keys(environment).filter(name => name.startsWith('SITU_'))
    expect(own.filter(name => !knownVariables().includes(name))).toEqual([])
    const secret = Object.entries(environment).filter(([name]) => /KEY|PASSWORD|SECRET|TOKEN/i.test(name))
    expect(secret.filter(([, value]) => value !== null)).toEqual([])
  })

  it.each(each)('%s waits for services that are there', (_name, { depends_on }) => {
    for (const [name, { condition }] of Object.entries(depends_on)) {
      const disabled = services[name]?.healthcheck.disable === true
      expect([name, condition]).toEqual([name, disabled ? 'service_completed_successfully' : 'service_healthy'])
    }
  })

  it('keeps the schemas of the registry for ever, as all topics without a retention of their own', () => {
    expect(services.kafka?.environment.KAFKA_LOG_RETENTION_MS).toBe(-1)
  })

  it('gives all workers one data folder, which their limits and paid replies are in', () => {
    const folder = instructions.findLast(({ name }) => name === 'WORKDIR')?.text
    const [volume] = services.worker?.volumes ?? []
    expect(volume?.split(':')[1]).toBe(folder)
    expect(instructions.findLast(({ name }) => name === 'VOLUME')?.text).toBe(folder)
    expect(services.worker?.environment.SITU_DATA).toBeUndefined()
  })

  it('names every volume that is used', () => {
    const used = each.flatMap(([, { volumes }]) => volumes.map(volume => volume.split(':')[0]))
    expect(used.sort()).toEqual(Object.keys(volumes).sort())
  })

  it('runs commands that Situ has, in the version of the package', async () => {
    const { commandNames } = await import('../streams/commands/index.ts')
    const own = each.filter(([, { image }]) => image.startsWith('situ:'))
    expect(own.map(([, { command }]) => command?.[0])).toEqual(['topics', 'run'])
    expect(own.every(([, { command }]) => commandNames.includes(command?.[0] ?? ''))).toBe(true)
    const { version } = JSON.parse(read('package.json'))
    expect(own.map(([, { image }]) => image)).toEqual(own.map(() => `situ:${version}`))
  })

  it('takes brokers and registry from the versions that the tests run', () => {
    const pom = read('tests/services/pom.xml')
    const versionOf = (name: string) => new RegExp(`<${name}.version>([^<]+)<`).exec(pom)?.[1]
    expect(services.kafka?.image).toBe(`apache/kafka:${versionOf('kafka')}`)
    expect(services.registry?.image).toBe(`apicurio/apicurio-registry:${versionOf('apicurio')}`)
  })
})

describe('Dockerfile', () => {
  it('builds on images of one version, in stages', () => {
    const from = instructions.filter(({ name }) => name === 'FROM').map(({ text }) => text.split(' ')[0] ?? '')
    expect(from.length).toBeGreaterThan(1)
    for (const image of from) expect(image).toMatch(pinned)
    expect(new Set(from).size).toBe(1)
  })

  it('takes a Node that the tests run too', () => {
    const [image = ''] = instructions.find(({ name }) => name === 'FROM')?.text.split(' ') ?? []
    expect(image).toBe(`node:${process.versions.node}-slim`)
  })

  it('ends as a user without rights', () => {
    expect(instructions.findLast(({ name }) => name === 'USER')?.text).toBe('node')
  })
})
