import { z } from 'zod'
import { errorTable, SituError } from '../../schemas/errors.ts'
import type { Failed } from '../../schemas/records.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { causesOf, operatorOf, readDeadLetters } from '../inspect/dead-letters.ts'
import { instantOf } from '../instant.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { table } from '../terminal/output.ts'

const verbs = ['causes', 'list', 'show', 'retry'] as const

/** A time in words, as milliseconds since 1970. */
const time = z
  .string()
  .transform((text, context) => {
    const time = instantOf(text)
    if (time !== null) return time
    context.addIssue('expected a time such as 2026-01-31T12:00:00Z')
    return z.NEVER
  })
  .optional()

export const command = defineCommand({
  name: 'failed',
  summary: 'tells why inputs failed and what helps, shows one with its evidence, or puts them back to work',
  usage: '[causes | list | show ID | retry] [OPTIONS]',
  words: { min: 0, max: 2 },
  settings: kafkaSettingNames,
  options: {
    code: z
      .enum(Object.keys(errorTable) as [string, ...string[]])
      .optional()
      .describe('Only the dead letters with this code.'),
    operator: z.string().min(1).optional().describe('Only those of this operator; OPERATOR.VARIANT for a variant.'),
    since: time.describe('Only those that failed at this time or later.'),
    until: time.describe('Only those that failed before this time.'),
  },
  examples: [
    'situ failed',
    'situ failed list --operator instruct --json',
    'situ failed show 0f3a…',
    'situ failed retry --code MODEL_REPLY_INVALID --since 2026-01-31T12:00:00Z',
    'situ failed retry && situ run --prompt instruct=better.md --accept-change',
  ],
  notes: [
    'retry asks; the next situ run (or one that follows) works the inputs again. Twice is the same as once.',
    'A reply that was of no use is not served again: its input is a new model call.',
  ],
  async run(context, filter) {
    const [verb = 'causes', id] = context.words
    if (!(verbs as readonly string[]).includes(verb)) {
      throw new SituError('USAGE', `unknown word ${verb}${closestName(verb, verbs)}`)
    }
    if ((verb === 'show') !== (id !== undefined))
      throw new SituError('USAGE', 'situ failed show takes one ID, the others none')
    const pipeline = await openPipeline(context.config, verb === 'retry' ? 'change' : 'read')
    try {
      if (verb === 'show') return await show(context, pipeline, id ?? '')
      const letters = await readDeadLetters(pipeline, filter)
      if (verb === 'retry') return await retry(context, pipeline, letters)
      return await (verb === 'list' ? list(context, letters) : causes(context, letters))
    } finally {
      await pipeline.close()
    }
  },
})

async function causes({ config, output }: CommandContext, letters: readonly Failed[]): Promise<number> {
  const found = causesOf(letters)
  if (config.settings.json) {
    const times = (time: number) => new Date(time).toISOString()
    for (const cause of found) {
      await output.json({ ...cause, oldest: times(cause.oldest), newest: times(cause.newest) })
    }
    return 0
  }
  if (found.length === 0) await output.line('no dead letters')
  for (const { operator, code, count, newest, example, remedy } of found) {
    await output.line(`${count} × ${code} at ${operator}, the last ${new Date(newest).toISOString()}`)
    await output.line(`  ${example.message.slice(0, 200)}`)
    await output.line(`  such as situ failed show ${example.id}`)
    if (remedy !== null) await output.line(`  ${remedy}`)
  }
  return 0
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
      operatorOf(letter),
      letter.code,
      letter.attempts,
      letter.message.slice(0, 120),
    ])
    await output.line(table([['id', 'operator', 'code', 'attempts', 'message'], ...rows]))
  }
  return 0
}

async function show({ output }: CommandContext, { transport, serde }: Pipeline, id: string): Promise<number> {
  const message = await transport.get('failed', id)
  if (!message) throw new SituError('USAGE', `no dead letter ${id} stands: situ failed list shows those that do`)
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
