import { z } from 'zod'
import { errorTable, SituError } from '../../schemas/errors.ts'
import type { Failed } from '../../schemas/records.ts'
import { kafkaSettingNames } from '../kafka-settings.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { table } from '../terminal/output.ts'
import { mainVariant } from '../topology.ts'

const verbs = ['list', 'show', 'retry'] as const

export const command = defineCommand({
  name: 'failed',
  summary: 'lists the dead letters, shows one with its evidence, or puts their inputs back to work',
  usage: '[list | show ID | retry] [--code CODE]',
  words: { min: 0, max: 2 },
  settings: kafkaSettingNames,
  options: {
    code: z
      .enum(Object.keys(errorTable) as [string, ...string[]])
      .optional()
      .describe('Only the dead letters with this code.'),
  },
  examples: ['situ failed', 'situ failed show 0f3a…', 'situ failed retry --code MODEL_UNAVAILABLE'],
  notes: ['retry asks; the next situ run (or one that follows) works the inputs again. Twice is the same as once.'],
  async run(context, { code }) {
    const [verb = 'list', id] = context.words
    if (!(verbs as readonly string[]).includes(verb)) {
      throw new SituError('USAGE', `unknown word ${verb}${closestName(verb, verbs)}`)
    }
    if ((verb === 'show') !== (id !== undefined))
      throw new SituError('USAGE', 'situ failed show takes one ID, the others none')
    const pipeline = await openPipeline(context.config, verb === 'retry' ? 'change' : 'read')
    try {
      if (verb === 'show') return await show(context, pipeline, id ?? '')
      const letters = await readLetters(pipeline, code)
      return await (verb === 'list' ? list(context, letters) : retry(context, pipeline, letters))
    } finally {
      await pipeline.close()
    }
  },
})

async function readLetters({ transport, serde }: Pipeline, code: string | undefined): Promise<Failed[]> {
  const letters: Failed[] = []
  for await (const { value } of transport.compacted('failed')) {
    const letter = await serde.decodeOwn('failed', value)
    if (letter && (code === undefined || letter.code === code)) letters.push(letter)
  }
  return letters
}

async function list({ config, output }: CommandContext, letters: readonly Failed[]): Promise<number> {
  if (config.settings.json) {
    for (const { id, operator, variant, code, input, attempts, message, source, place, time } of letters) {
      await output.json({ id, operator, variant, code, input, attempts, message, source, place, time })
    }
    return 0
  }
  if (letters.length === 0) await output.line('no dead letters')
  else {
    const rows = letters.map(letter => [
      letter.id,
      letter.variant === mainVariant ? letter.operator : `${letter.operator}.${letter.variant}`,
      letter.code,
      letter.attempts,
      letter.message.slice(0, 120),
    ])
    await output.line(table([['id', 'operator', 'code', 'attempts', 'message'], ...rows]))
  }
  const codes = [...new Set(letters.map(letter => letter.code))]
  const known = (code: string): code is keyof typeof errorTable => Object.hasOwn(errorTable, code)
  for (const code of codes) if (known(code)) await output.line(`\n${code}: ${errorTable[code].help}`)
  return 0
}

async function show({ output }: CommandContext, { transport, serde }: Pipeline, id: string): Promise<number> {
  const message = await transport.get('failed', id)
  if (!message) throw new SituError('USAGE', `no dead letter ${id} stands: situ failed lists those that do`)
  await output.json(await serde.decode('failed', message.value), 2)
  return 0
}

async function retry(
  { config, output }: CommandContext,
  pipeline: Pipeline,
  letters: readonly Failed[],
): Promise<number> {
  const ingest = letters.filter(letter => letter.place === null)
  const messages = letters.flatMap(({ id, operator, place, value, variant }) => {
    if (!place) return []
    const { value: encoded } = pipeline.serde.encode('retry', { id, operator, place, value, variant })
    return [{ topic: 'retry', partition: place.partition, key: id, value: encoded, parent: id }]
  })
  if (messages.length > 0) await pipeline.transport.produce(messages)
  if (config.settings.json) await output.json({ retried: messages.length, ingest: ingest.length })
  else {
    await output.line(
      `${messages.length} inputs put back to work: situ run works them, and those of a variant its situ replay`,
    )
    if (ingest.length > 0) await output.line(`${ingest.length} of ingest left: mend the input and ingest it again`)
  }
  return 0
}
