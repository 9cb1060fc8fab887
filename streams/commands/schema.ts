import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { type Noun, schemas } from '../../schemas/records.ts'
import { topicNouns } from '../chain/topology.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { makeFolder } from '../make-folder.ts'
import { subjectOf } from '../pipeline.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'

export const command = defineCommand({
  name: 'schema',
  summary: 'hands out the Avro schemas, for programs that write to or read from the topics',
  usage: 'show NOUN | export [NOUN] --out FILE-OR-FOLDER',
  words: { min: 1, max: 2 },
  settings: kafkaSettingNames,
  options: {
    out: z.string().min(1).optional().describe('File for one noun, folder for all; - is stdout.'),
  },
  examples: ['situ schema show page', 'situ schema export page --out page.avsc', 'situ schema export --out schemas/'],
  notes: [
    'Each is whole: types that it names stand in it. With brokers, its subject in the registry is PREFIX.NOUN-value.',
    'A program that writes pages or articles needs no id and no key: Situ makes ids from the content.',
  ],
  async run(context, { out }) {
    const [verb, name] = context.words
    if (verb === 'show') return show(context, nounOf(name))
    if (verb !== 'export') throw new SituError('USAGE', `situ schema show or export, not ${verb}`)
    if (out === undefined) throw new SituError('USAGE', 'situ schema export needs --out')
    return name === undefined ? exportAll(context, out) : exportOne(context, nounOf(name), out)
  },
})

function nounOf(name: string | undefined): Noun {
  const noun = topicNouns.find(known => known === name)
  if (noun) return noun
  const known = topicNouns.join(', ')
  if (name === undefined) throw new SituError('USAGE', `situ schema show NOUN: one of ${known}`)
  throw new SituError('TOPIC_UNKNOWN', `unknown noun ${name}${closestName(name, topicNouns)}; there are ${known}`)
}

function textOf(noun: Noun): string {
  return JSON.stringify(schemas[noun], null, 2)
}

async function show({ output }: CommandContext, noun: Noun): Promise<number> {
  await output.line(textOf(noun))
  return 0
}

async function exportOne(context: CommandContext, noun: Noun, out: string): Promise<number> {
  if (out === '-') return show(context, noun)
  await write(out, textOf(noun))
  await context.output.line(`${out}: ${noun}, subject ${subjectOf(noun, context.config)}`)
  return 0
}

async function exportAll({ config, output }: CommandContext, folder: string): Promise<number> {
  if (folder === '-') throw new SituError('USAGE', 'situ schema export NOUN --out -: only one fits into stdout')
  try {
    makeFolder(folder)
  } catch (cause) {
    throw new SituError('OUTPUT_UNWRITABLE', `${folder}: ${messageOf(cause)}`, { cause })
  }
  for (const noun of topicNouns) {
    const path = join(folder, `${noun}.avsc`)
    await write(path, textOf(noun))
    await output.line(`${path}: subject ${subjectOf(noun, config)}`)
  }
  return 0
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, `${text}\n`)
  } catch (cause) {
    throw new SituError('OUTPUT_UNWRITABLE', `${path}: ${messageOf(cause)}`, { cause })
  }
}
