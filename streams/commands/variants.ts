import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import { promote, removeVariant } from '../chain/promotion.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { type Difference, listVariants, type VariantInfo } from '../inspect/variants.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { confirm } from '../terminal/confirm.ts'

const verbs = ['list', 'promote', 'remove'] as const

export const command = defineCommand({
  name: 'variants',
  summary: 'lists the variants with what differs, makes one the main line, or removes one',
  usage: '[list | promote NAME | remove NAME] [--yes]',
  words: { min: 0, max: 2 },
  settings: kafkaSettingNames,
  options: {
    yes: z.boolean().default(false).describe('Remove without asking.'),
  },
  examples: ['situ variants', 'situ variants promote short', 'situ variants remove short --yes'],
  notes: [
    'promote copies nothing and renames no topic: the main line is from then on what the variant has written, and',
    'what it was before stays as a variant main-DATE. Operators behind those of the variant begin at nothing.',
    'promote and remove want all workers of the stages in question to have ended.',
  ],
  async run(context, { yes }) {
    const [verb = 'list', name] = context.words
    if (!(verbs as readonly string[]).includes(verb)) {
      throw new SituError('USAGE', `unknown word ${verb}${closestName(verb, verbs)}`)
    }
    if ((verb === 'list') === (name !== undefined)) {
      throw new SituError('USAGE', 'situ variants promote and remove take one NAME, list takes none')
    }
    const pipeline = await openPipeline(context.config, verb === 'list' ? 'read' : 'change')
    try {
      if (verb === 'list') return await list(context, pipeline)
      return await (verb === 'promote'
        ? makeMain(context, pipeline, name ?? '')
        : remove(context, pipeline, name ?? '', yes))
    } finally {
      await pipeline.close()
    }
  },
})

async function list({ config, output }: CommandContext, pipeline: Pipeline): Promise<number> {
  const infos = await listVariants(pipeline)
  if (config.settings.json) await output.json(infos)
  else for (const info of infos) await output.line(describe(info))
  return 0
}

function describe(info: VariantInfo): string {
  const { name, operators, records, differs, range, time, promoted, state } = info
  const facts = [
    ...(promoted === null ? [] : [`promoted from ${promoted}`]),
    ...(time === null ? [] : [time]),
    ...(state === 'removing' ? ['being removed: situ variants remove ends that'] : []),
  ]
  const counts = Object.entries(records).map(([noun, count]) => `${noun} ${count}`)
  const waiting = Object.entries(operators).filter(([, { lag }]) => lag > 0)
  return [
    `${name}${facts.length > 0 ? `  (${facts.join('; ')})` : ''}`,
    `  operators  ${Object.keys(operators).join(', ')}`,
    `  records    ${counts.join(', ')}`,
    ...(waiting.length > 0 ? [`  waiting    ${waiting.map(([stage, { lag }]) => `${stage} ${lag}`).join(', ')}`] : []),
    ...(Object.keys(range).length > 0 ? [`  range      ${JSON.stringify(range)}`] : []),
    ...differs.map(difference => `  differs    ${describeDifference(difference)}`),
  ].join('\n')
}

function describeDifference({ operator, key, main, variant }: Difference): string {
  return `${operator}: ${key} ${JSON.stringify(variant)}, main line ${JSON.stringify(main)}`
}

async function makeMain({ config, output }: CommandContext, pipeline: Pipeline, name: string): Promise<number> {
  const { earlier, stages, fresh, leftOut } = await promote(pipeline, config, name)
  const names = stages.map(stage => stage.name)
  if (config.settings.json) {
    await output.json({ promoted: name, earlier, operators: names, fresh: fresh.map(stage => stage.name), leftOut })
    return 0
  }
  await output.line(`${name} is the main line from ${names[0]} on; what that was is the variant ${earlier}`)
  if (fresh.length > 0) {
    await output.line(`not replayed through ${fresh.map(stage => stage.name).join(', ')}: situ run works them`)
  }
  if (leftOut > 0) await output.line(`${leftOut} inputs before the --from of its replay are in ${earlier} only`)
  for (const { operator, key, main } of await changedBy(pipeline, earlier)) {
    await output.line(`situ run has to go on with ${operator}: ${key} ${JSON.stringify(main)}`)
  }
  return 0
}

/** What a run must be configured with from now on. */
async function changedBy(pipeline: Pipeline, earlier: string): Promise<Difference[]> {
  return (await listVariants(pipeline)).find(({ name }) => name === earlier)?.differs ?? []
}

async function remove(
  { config, output, stop }: CommandContext,
  pipeline: Pipeline,
  name: string,
  yes: boolean,
): Promise<number> {
  ;(await readVariants(pipeline)).find(name)
  if (!yes && !(await isAgreed(pipeline, name, stop))) {
    await output.line('nothing removed')
    return 0
  }
  const removal = await removeVariant(pipeline, name)
  if (config.settings.json) await output.json({ removed: name, topics: removal.topics, failed: removal.failed })
  else await output.line(`${name} removed: ${removal.topics.join(', ')}, and ${removal.failed} dead letters`)
  return 0
}

async function isAgreed(pipeline: Pipeline, name: string, signal: AbortSignal): Promise<boolean> {
  const info = (await listVariants(pipeline)).find(one => one.name === name)
  const counts = Object.entries(info?.records ?? {}).map(([noun, count]) => `${count} ${noun}`)
  return confirm(`situ variants remove ${name}`, `Remove ${name} with ${counts.join(', ')}?`, signal)
}
