import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { errorTable, SituError } from '../schemas/errors.ts'
import { commandNames, loadCommand } from './commands/index.ts'
import { readConfig, type SettingName, settings } from './config/config.ts'
import { createLogger } from './log.ts'
import { closestName } from './terminal/closest-name.ts'
import type { Command } from './terminal/command.ts'
import { describeError } from './terminal/describe-error.ts'
import { commandHelp, generalHelp } from './terminal/help.ts'
import { describeOption, type OptionInfo, type OptionSource, resolveOptions } from './terminal/options.ts'
import { Output } from './terminal/output.ts'

const everywhere: readonly SettingName[] = ['data', 'config', 'json', 'logLevel']

/** @returns The exit code. */
async function main(words: readonly string[]): Promise<number> {
  const output = new Output(process.stdout)
  const [name, ...rest] = words
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const about = name === 'help' ? rest[0] : undefined
    await output.line(about ? commandHelp(await find(about), everywhere) : await generalHelp(everywhere))
    return name === undefined ? 2 : 0
  }
  if (name === '--version') {
    await output.line(version())
    return 0
  }
  const command = await find(name)
  if (rest.includes('--help') || rest.includes('-h')) {
    await output.line(commandHelp(command, everywhere))
    return 0
  }
  const parsed = parseWords(command, rest)
  const { config, problems } = readConfig(parsed.flags, process.env, command.own)
  const usage: string[] = []
  const ownFlags: OptionSource = { label: ({ flag }) => flag, value: ({ name }) => parsed.flags[name] }
  const options = resolveOptions(command.options, [ownFlags], usage)
  if (!command.reportsProblems) usage.unshift(...problems)
  if (usage.length > 0) throw new SituError('CONFIGURATION_INVALID', usage.join('\n'))
  const { min, max } = command.words
  if (parsed.words.length < min || parsed.words.length > max) {
    throw new SituError('USAGE', `situ ${command.name} ${command.usage}: got ${parsed.words.length} words`)
  }
  const log = createLogger(config)
  const signals = new Signals(output)
  const code = await command.run({ config, problems, log, words: parsed.words, output, stop: signals.stop }, options)
  return signals.exitCode ?? code
}

async function find(name: string): Promise<Command> {
  const command = await loadCommand(name)
  if (!command) throw new SituError('USAGE', `unknown command ${name}${closestName(name, commandNames)}`)
  return command
}

/** @throws {SituError} USAGE for an unknown option (with the nearest), a missing or a needless value. */
function parseWords(command: Command, args: readonly string[]) {
  const infos: OptionInfo[] = [
    ...[...everywhere, ...command.settings].map(name => describeOption(name, settings[name])),
    ...Object.entries(command.options).map(([name, schema]) => describeOption(name, schema)),
  ]
  const byFlag = new Map(infos.map(info => [info.flag.slice(2), info]))
  const options = Object.fromEntries(
    infos.map(({ flag, type, repeatable }) => [
      flag.slice(2),
      { type: type === 'boolean' ? ('boolean' as const) : ('string' as const), multiple: repeatable },
    ]),
  )
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const flags: Record<string, string | boolean | (string | boolean)[]> = {}
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const info = byFlag.get(token.name)
    if (!info) {
      const known = [...byFlag.keys()].map(name => `--${name}`)
      throw new SituError('USAGE', `unknown option ${token.rawName}${closestName(token.rawName, known)}`)
    }
    if (info.type === 'boolean' && token.value !== undefined && !/^(true|false)$/.test(token.value)) {
      throw new SituError('USAGE', `${info.flag} takes no value, got ${token.value}`)
    }
    if (info.type !== 'boolean' && token.value === undefined) throw new SituError('USAGE', `${info.flag} needs a value`)
    const value = token.value ?? true
    const earlier = flags[info.name]
    flags[info.name] = info.repeatable ? [...(Array.isArray(earlier) ? earlier : []), value] : value
  }
  return { flags, words: positionals }
}

/** The first signal asks for a clean end, the second ends at once. */
class Signals {
  readonly #stop = new AbortController()
  exitCode: number | null = null

  constructor(output: Output) {
    output.gone.addEventListener('abort', () => {
      this.exitCode ??= 0
      this.#stop.abort()
    })
    for (const [signal, code, hard] of [
      ['SIGINT', 130, 130],
      ['SIGTERM', 0, 143],
    ] as const) {
      process.on(signal, () => {
        if (this.#stop.signal.aborted) process.exit(hard)
        this.exitCode = code
        this.#stop.abort()
      })
    }
  }

  get stop(): AbortSignal {
    return this.#stop.signal
  }
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`situ: ${describeError(error)}\n`)
  if (!(error instanceof SituError) && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exitCode = error instanceof SituError ? errorTable[error.code].exit : 1
}
