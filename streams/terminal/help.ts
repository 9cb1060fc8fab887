import { allCommands } from '../commands/index.ts'
import { type SettingName, settings } from '../config/config.ts'
import type { Command } from './command.ts'
import { describeOption, type OptionInfo } from './options.ts'
import { table } from './output.ts'

/** What `situ --help` prints. */
export async function generalHelp(everywhere: readonly SettingName[]): Promise<string> {
  const commands = await allCommands()
  return [
    'situ: turns a stream of web text into grounded user instructions',
    '',
    'Usage: situ COMMAND [WORDS] [OPTIONS]',
    '',
    table(commands.map(({ name, summary }) => [`  ${name}`, summary])),
    '',
    'Options of every command:',
    optionLines(everywhere.map(name => describeOption(name, settings[name]))),
    '',
    'situ COMMAND --help tells the rest.',
    'Exit: 0 done, 1 error or conservation broken, 2 usage, 3 stopped by a budget, 130 ended by SIGINT.',
  ].join('\n')
}

/** What `situ COMMAND --help` prints. */
export function commandHelp(command: Command, everywhere: readonly SettingName[]): string {
  const own = Object.entries(command.options).map(([name, schema]) => describeOption(name, schema))
  const shared = [...command.settings, ...everywhere].map(name => describeOption(name, settings[name]))
  const lines = [
    `situ ${command.name}: ${command.summary}`,
    '',
    `Usage: situ ${command.name} ${command.usage}`.trimEnd(),
  ]
  if (own.length > 0) lines.push('', 'Options:', optionLines(own))
  lines.push(
    '',
    'Settings (also as SITU_* in the environment and as keys of the configuration file):',
    optionLines(shared),
  )
  if (command.notes) lines.push('', ...command.notes)
  lines.push('', 'Examples:', ...command.examples.map(example => `  ${example}`))
  return lines.join('\n')
}

function optionLines(infos: readonly OptionInfo[]): string {
  return table(
    infos.map(({ flag, type, repeatable, help, facts }) => {
      const value = type === 'boolean' ? '' : type === 'number' ? ' N' : ' VALUE'
      return [`  ${flag}${value}${repeatable ? ' …' : ''}`, facts ? `${help} (${facts})` : help]
    }),
  )
}
