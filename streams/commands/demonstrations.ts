import { z } from 'zod'
import { builtInSnapshot, type Demonstration } from '../../operators/demonstrations.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Snapshot } from '../../schemas/records.ts'
import { mainVariant } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { countShown, type ShownCounts } from '../inspect/shown.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import {
  chooseSnapshot,
  describeSnapshot,
  keepSnapshot,
  listSnapshots,
  makeSnapshot,
} from '../snapshots/demonstrations.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { table } from '../terminal/output.ts'

const verbs = ['list', 'show', 'snapshot', 'pin', 'shown'] as const
type Verb = (typeof verbs)[number]
const withHash: readonly Verb[] = ['show', 'pin']
const writing: readonly Verb[] = ['snapshot', 'pin']
const lineCharacters = 90

export const command = defineCommand({
  name: 'demonstrations',
  summary: 'lists the snapshots of demonstrations, shows one, makes one, or pins one for the runs to come',
  usage: '[list | show HASH | snapshot [--limit N] | pin HASH | shown [--variant NAME]]',
  words: { min: 0, max: 2 },
  settings: kafkaSettingNames,
  options: {
    limit: z.int().min(1).optional().describe('snapshot: demonstrations of the topic at most; default: all.'),
    variant: z.string().min(1).optional().describe('shown: the outputs of a variant.'),
  },
  examples: [
    'situ demonstrations snapshot --limit 500',
    'situ demonstrations show built-in --json',
    'situ demonstrations pin built-in',
    'situ demonstrations shown',
  ],
  notes: [
    'snapshot takes the topic demonstration as it stands, fills up with built-in ones below 24, and pins what it made:',
    'every later run of this log draws from it, on whatever machine, until another one is made or pinned.',
    'HASH may be built-in. shown tells how many demonstrations fitted into the prompts: median and histogram.',
  ],
  async run(context, { limit, variant }) {
    const [word = 'list', hash] = context.words
    const verb = verbs.find(name => name === word)
    if (!verb) throw new SituError('USAGE', `unknown word ${word}${closestName(word, verbs)}`)
    if (withHash.includes(verb) !== (hash !== undefined)) {
      throw new SituError('USAGE', `situ demonstrations ${verb}: expected ${hash === undefined ? 'a HASH' : 'no HASH'}`)
    }
    if (limit !== undefined && verb !== 'snapshot') throw new SituError('USAGE', '--limit belongs to snapshot')
    if (variant !== undefined && verb !== 'shown') throw new SituError('USAGE', '--variant belongs to shown')
    const pipeline = await openPipeline(context.config, writing.includes(verb) ? 'change' : 'read')
    try {
      if (verb === 'snapshot') await snapshot(context, pipeline, limit ?? null)
      else if (verb === 'show') await show(context, pipeline, hash ?? '')
      else if (verb === 'pin') await pin(context, pipeline, hash ?? '')
      else if (verb === 'shown') await shown(context, pipeline, variant ?? mainVariant)
      else await list(context, pipeline)
      return 0
    } finally {
      await pipeline.close()
    }
  },
})

async function snapshot({ config, output }: CommandContext, pipeline: Pipeline, limit: number | null): Promise<void> {
  const made = await makeSnapshot(pipeline, limit)
  await keepSnapshot(pipeline, made, true)
  const { id, demonstrations, builtIn } = made.record
  if (config.settings.json) return output.json(factsOf(made.record))
  await output.line(id)
  await output.line(`${demonstrations} demonstrations: ${demonstrations - builtIn} of the topic, ${builtIn} built in`)
  if (made.unusable > 0) await output.line(`${made.unusable} of the topic left out: a field is empty`)
}

async function pin({ config, output }: CommandContext, pipeline: Pipeline, hash: string): Promise<void> {
  const made = await find(pipeline, hash)
  await keepSnapshot(pipeline, made, true)
  if (config.settings.json) return output.json(factsOf(made.record))
  await output.line(`runs draw from ${describeSnapshot(made.record)}`)
}

async function show({ config, output }: CommandContext, pipeline: Pipeline, hash: string): Promise<void> {
  const { snapshot, record } = await find(pipeline, hash)
  if (config.settings.json) {
    return output.json({ ...factsOf(record), demonstrations: snapshot.demonstrations })
  }
  await output.line(describeSnapshot(record))
  for (const demonstration of snapshot.demonstrations) await output.line(`\n${describe(demonstration)}`)
}

function describe({ id, domain, user, instruction }: Demonstration): string {
  const line = (text: string) => {
    const whole = text.replace(/\s+/g, ' ')
    return whole.length > lineCharacters ? `${whole.slice(0, lineCharacters).toWellFormed()}…` : whole
  }
  return [`${id}  ${domain}`, `  user         ${line(user)}`, `  instruction  ${line(instruction)}`].join('\n')
}

function find(pipeline: Pipeline, hash: string) {
  if (!/^(built-in|[0-9a-f]{32})$/.test(hash)) {
    throw new SituError('USAGE', `${hash}: expected built-in or the hash of a snapshot, 32 hex digits`)
  }
  return chooseSnapshot(pipeline, hash)
}

async function list({ config, output }: CommandContext, pipeline: Pipeline): Promise<void> {
  const known = await listSnapshots(pipeline)
  const builtIn = builtInSnapshot()
  const pinned = known.find(({ pinned }) => pinned > 0)?.id ?? builtIn.hash
  const { record } = await chooseSnapshot(pipeline, 'built-in')
  const all = known.some(({ id }) => id === builtIn.hash) ? known : [...known, record]
  if (config.settings.json) return output.json(all.map(one => ({ ...factsOf(one), isPinned: one.id === pinned })))
  const rows = all.map(({ id, demonstrations, builtIn, topic, ends, live, time }) => [
    id,
    topic === null ? '-' : new Date(time).toISOString(),
    demonstrations,
    builtIn,
    topic === null ? 'built in' : `${topic} to ${ends.join(', ') || '0'}${live ? ', live' : ''}`,
    id === pinned ? 'pinned' : '',
  ])
  await output.line(table([['snapshot', 'made', 'size', 'built in', 'from', ''], ...rows]))
}

/** As JSON shows it. */
function factsOf({ id, time, pinned, ...record }: Snapshot) {
  const isoOrNull = (time: number) => (time === 0 ? null : new Date(time).toISOString())
  return { hash: id, ...record, time: isoOrNull(time), pinned: isoOrNull(pinned) }
}

async function shown({ config, output }: CommandContext, pipeline: Pipeline, variant: string): Promise<void> {
  const line = (await readVariants(pipeline)).find(variant)
  const drawing = line.stages.filter(({ operator }) => operator.demonstrations)
  const counts: Record<string, ShownCounts> = {}
  for (const stage of drawing) counts[stage.name] = await countShown(pipeline, stage)
  if (config.settings.json) return output.json(counts)
  const rows = Object.entries(counts).map(([name, { records, median, histogram }]) => [
    name,
    records,
    median ?? '-',
    Object.entries(histogram)
      .map(([number, count]) => `${number}: ${count}`)
      .join(', ') || '-',
  ])
  await output.line(table([['operator', 'records', 'median', 'shown: records'], ...rows]))
}
