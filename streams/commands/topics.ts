import { z } from 'zod'
import { Serde } from '../../schemas/serde.ts'
import { topicSpecs } from '../chain/topology.ts'
import type { Config } from '../config/config.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { readStatus } from '../inspect/status.ts'
import { verify } from '../inspect/verify.ts'
import { isOnKafka, openBrokers, openPipeline, openRegistry, partitionsOf, registerSchemas } from '../pipeline.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { describeDifferences } from '../terminal/describe-topics.ts'
import { renderStatus } from '../terminal/status-table.ts'
import { openEmbedded } from '../transports/embedded/index.ts'
import type { TopicDifference } from '../transports/kafka/index.ts'

export const command = defineCommand({
  name: 'topics',
  summary: 'shows every topic and operator, and whether the sums add up',
  usage: '[--verify | --create] [--json]',
  words: { min: 0, max: 0 },
  settings: ['partitions', 'retentionDays', 'retentionBytes', ...kafkaSettingNames],
  options: {
    create: z
      .boolean()
      .default(false)
      .describe('Make the topics that are missing, as configured, and say what differs; never changes one.'),
    verify: z
      .boolean()
      .default(false)
      .describe('Do not trust counters: count the records of the topics again, by parent.'),
  },
  examples: ['situ topics', 'situ topics --verify', 'situ topics --json', 'situ topics --create --partitions 6'],
  notes: [
    'Exits 1 where conservation is broken: inputs = done + dropped + failed + in flight, for every operator.',
    '--create exits 1 where a topic that is there differs from the configuration.',
  ],
  async run(context, options) {
    if (options.create) return createTopics(context)
    const { config, output, stop } = context
    const pipeline = await openPipeline(config, 'read')
    try {
      const survey = await pipeline.transport.survey('task')
      const status = await readStatus(pipeline, survey)
      const verified = options.verify
        ? await verify(pipeline, survey, status.operators, stop)
        : { differences: [], notes: [] }
      const differences = [...status.differences, ...verified.differences]
      const broken = differences.length > 0
      const whole = {
        ...status,
        conservation: broken ? ('broken' as const) : ('ok' as const),
        differences,
        notes: verified.notes,
      }
      await (config.settings.json ? output.json(whole) : output.line(renderStatus(whole)))
      return broken ? 1 : 0
    } finally {
      await pipeline.close()
    }
  },
})

interface Created {
  created: string[]
  differences: TopicDifference[]
}

async function createTopics({ config, output }: CommandContext): Promise<number> {
  const { created, differences } = await (isOnKafka(config) ? createOnKafka(config) : createEmbedded(config))
  if (config.settings.json) await output.json({ created, differences })
  else {
    await output.line(created.length > 0 ? `made: ${created.join(', ')}` : 'made: nothing, all topics are there')
    for (const line of describeDifferences(differences)) await output.line(`differs, and was not changed: ${line}`)
  }
  return differences.length > 0 ? 1 : 0
}

/** The schemas are checked first: where they don't fit, nothing is made. */
async function createOnKafka(config: Config): Promise<Created> {
  const transport = await openBrokers(config)
  try {
    const { partitions } = config.settings
    const made = partitionsOf(await transport.topics()) ?? partitions
    const wanted = await transport.topicDifferences(topicSpecs(made).map(spec => ({ ...spec, partitions })))
    const missing = wanted.filter(({ setting }) => setting === 'exists').map(({ topic }) => topic)
    await registerSchemas(new Serde(await openRegistry(config)), config, made)
    await transport.createTopics(topicSpecs(made))
    const differences = wanted.filter(({ setting }) => setting !== 'exists')
    return { created: missing, differences }
  } finally {
    await transport.close()
  }
}

async function createEmbedded(config: Config): Promise<Created> {
  const { data, partitions } = config.settings
  const before = await openEmbedded(data, { create: true, readOnly: false })
  const there = await before.topics().finally(() => before.close())
  const pipeline = await openPipeline(config, 'write')
  try {
    const all = await pipeline.transport.topics()
    const created = all.map(({ name }) => name).filter(name => !there.some(topic => topic.name === name))
    const differences = there
      .filter(topic => topic.partitions !== partitions)
      .map(topic => ({
        topic: topic.name,
        setting: 'partitions',
        wanted: String(partitions),
        found: String(topic.partitions),
      }))
    return { created, differences }
  } finally {
    await pipeline.close()
  }
}
