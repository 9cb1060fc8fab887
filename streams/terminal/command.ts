import type { Config, SettingName } from '../config/config.ts'
import type { Logger } from '../log.ts'
import type { OptionTable, OptionValues } from './options.ts'
import type { Output } from './output.ts'

export interface CommandContext {
  config: Config
  /** What is wrong with the configuration; empty unless the command reports it itself. */
  problems: readonly string[]
  log: Logger
  /** Words that are no options. */
  words: readonly string[]
  /** Data goes here, and nothing else. */
  output: Output
  /** Aborted by SIGINT, SIGTERM, or where nobody reads stdout any more. */
  stop: AbortSignal
}

/** One command: streams/commands/<name>.ts, listed in commands/index.ts. Help and parsing derive from it. */
export interface Command<Options extends OptionTable = OptionTable> {
  readonly name: string
  readonly summary: string
  /** What follows the name, for the usage line. */
  readonly usage: string
  /** How many words it takes. */
  readonly words: { min: number; max: number }
  /** Settings that it uses, beside those of every command. */
  readonly settings: readonly SettingName[]
  /** Its own flags. */
  readonly options: Options
  readonly examples: readonly string[]
  /** Settings that only a flag of this command changes, with their values otherwise. */
  readonly own?: { readonly [Name in SettingName]?: string | null }
  /** Whether it reports the problems of the configuration itself. */
  readonly reportsProblems?: boolean
  /** Further help, in lines. */
  readonly notes?: readonly string[]
  /** @returns The exit code. */
  run(context: CommandContext, options: OptionValues<Options>): Promise<number>
}

/** Keeps the types of a command's options. */
export function defineCommand<const Options extends OptionTable>(command: Command<Options>): Command<Options> {
  return command
}
