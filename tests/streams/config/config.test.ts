import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readConfig, withSettings } from '../../../streams/config/config.ts'
import { removeFolder, temporaryFolder } from '../../support/situ.ts'

const folder = temporaryFolder()
afterAll(() => removeFolder(folder))

let files = 0
/** A configuration file with this text. */
function fileOf(text: string): string {
  const path = join(folder, `${files++}.yaml`)
  writeFileSync(path, text)
  return path
}

describe('readConfig', () => {
  it('takes the flag before the variable, the variable before the file, and the file before the default', () => {
    const config = fileOf('concurrency: 3\nmaxAttempts: 4\nbackoffMs: 7\n')
    const { config: read, problems } = readConfig(
      { config, concurrency: '1' },
      { SITU_CONCURRENCY: '2', SITU_MAX_ATTEMPTS: '5' },
    )
    expect(problems).toEqual([])
    expect(read.settings).toMatchObject({ concurrency: 1, maxAttempts: 5, backoffMs: 7, drainSeconds: 30 })
  })

  it('lets a command own a setting: only a flag changes it then', () => {
    const own = { data: './situ-demo', model: null }
    const environment = { SITU_DATA: '/elsewhere', SITU_MODEL: 'big' }
    expect(readConfig({}, environment, own).config.settings).toMatchObject({ data: './situ-demo', model: undefined })
    expect(readConfig({ data: 'x', model: 'y' }, environment, own).config.settings).toMatchObject({
      data: 'x',
      model: 'y',
    })
  })

  it('searches the documents of the pipeline unless an instance is named', () => {
    expect(readConfig({}, {}).config.search).toEqual({ kind: 'full-text' })
    const config = fileOf('search: {kind: searxng, baseUrl: "http://127.0.0.1:8888"}')
    expect(readConfig({ config }, {}).config.search).toEqual({
      kind: 'searxng',
      baseUrl: 'http://127.0.0.1:8888',
      engines: [],
      language: 'all',
      timeoutSeconds: 20,
      maxPageBytes: 4_194_304,
    })
  })

  it.each([
    ['search: 5', /yaml: search: expected object/],
    ['search: {kind: google}', /yaml: search.kind: .*'full-text' \| 'searxng'/],
    ['search: {kind: searxng}', /yaml: search.baseUrl: expected string/],
    ['search: {kind: searxng, baseUrl: "ftp://x"}', /yaml: search.baseUrl: Invalid URL/],
    ['search: {kind: searxng, baseUrl: "http://user:word@x"}', /user and password may not stand in it/],
    ['search: {kind: searxng, baseUrl: "http://x", engine: [a]}', /yaml: search: unknown key engine/],
    ['search: {kind: full-text, isAllowed: true}', /yaml: search: unknown key isAllowed/],
  ])('refuses %s', (text, problem) => {
    const { problems } = readConfig({ config: fileOf(text) }, {})
    expect(problems).toEqual([expect.stringMatching(problem)])
    expect(problems.join()).not.toContain('user:word')
  })

  it('tells all problems of flags, environment and file at once, each with place, value and rule', () => {
    const config = fileOf(
      [
        'concurency: 8',
        'partitions: 0',
        'models:',
        '  stand-in: {model: x}',
        '  big: {modle: x}',
        '  fast: {model: f, baseUrl: "ftp://example.org"}',
        'operators:',
        '  extrct: {}',
        '  situate: 5',
        '  instruct: {modell: x, maxPromptTokens: lots}',
      ].join('\n'),
    )
    const { problems } = readConfig({ config, drainSeconds: 'soon' }, { SITU_MAX_ATTEMPTS: '0', SITU_DTA: 'x' })
    for (const problem of [
      /^--drain-seconds: expected .*number.*, got "soon" \(0 to 86400; seconds; default 30\)$/,
      /^SITU_MAX_ATTEMPTS: .*, got "0" \(1 to 100; tries; default 5\)$/,
      /^environment: unknown variable SITU_DTA: did you mean SITU_DATA\?$/,
      /yaml: unknown key concurency: did you mean concurrency\?$/,
      /yaml: partitions: .*, got 0 /,
      /models\.stand-in: this name is taken/,
      /models\.big: unknown key modle: did you mean model\?$/,
      /models\.big\.model: /,
      /models\.fast\.baseUrl: /,
      /operators: unknown key extrct: did you mean extract\?$/,
      /operators\.situate: expected options with values$/,
      /operators\.instruct: unknown key modell/,
      /operators\.instruct\.maxPromptTokens: expected number/,
    ]) {
      expect(problems, problems.join('\n')).toContainEqual(expect.stringMatching(problem))
    }
    expect(new Set(problems).size).toBe(problems.length)
  })

  it('goes on with the default of a value that is not allowed', () => {
    const { config, problems } = readConfig({ concurrency: '0' }, {})
    expect(config.settings.concurrency).toBe(16)
    expect(problems).toHaveLength(1)
  })

  it('names a bad path of the configuration once', () => {
    expect(readConfig({ config: '' }, {}).problems).toHaveLength(1)
  })

  it('does without the usual file, but not without a named one', () => {
    expect(readConfig({}, {}).problems).toEqual([])
    const missing = join(folder, 'missing.yaml')
    for (const read of [() => readConfig({ config: missing }, {}), () => readConfig({}, { SITU_CONFIG: missing })]) {
      expect(read).toThrow(expect.objectContaining({ code: 'INPUT_UNREADABLE' }))
    }
  })

  it('has a line for a file that is no YAML, and for one that holds no keys', () => {
    for (const [text, problem] of [
      ['concurrency: [1', /yaml: .+/],
      ['- a\n- b\n', /yaml: holds a list, not keys with values$/],
      ['just words', /yaml: holds string, not keys with values$/],
      ['models: 3', /models: expected names with settings$/],
      ['operators: [extract]', /operators: expected names with options$/],
      ['config: other.yaml', /unknown key config/],
    ] as const) {
      expect(readConfig({ config: fileOf(text) }, {}).problems[0]).toMatch(problem)
    }
    expect(readConfig({ config: fileOf('') }, {}).problems).toEqual([])
  })

  it('freezes what it gives, down to the parameters of a model', () => {
    const text = 'models:\n  big: {model: b, parameters: {stop: [a]}}\noperators:\n  extract: {}\n'
    const { config } = readConfig({ config: fileOf(text) }, {})
    const parts: unknown[] = [
      config,
      config.settings,
      config.models,
      config.models.big,
      config.models.big?.parameters,
      config.models.big?.parameters.stop,
      config.operators,
      config.operators.extract,
      config.operators.extract?.options,
    ]
    for (const part of parts) expect(Object.isFrozen(part)).toBe(true)
    expect(Object.isFrozen(withSettings(config, { concurrency: 2 }).settings)).toBe(true)
  })

  it('gives every operator its own options, with their defaults', () => {
    const { config, problems } = readConfig({ config: fileOf('operators:\n  instruct: {model: big}\n') }, {})
    expect(problems).toEqual([])
    expect(config.operators.instruct).toMatchObject({ model: 'big', options: { maxPromptTokens: 7500 } })
    expect(config.operators.extract?.model).toBeUndefined()
  })
})
