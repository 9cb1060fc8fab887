import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import type { Records } from '../../schemas/records.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import {
  ancestors,
  type Descendant,
  descendants,
  type Found,
  findRecord,
  keptTwin,
  provenanceOf,
} from '../inspect/lineage.ts'
import { sentMessages } from '../inspect/sent-messages.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'

export const command = defineCommand({
  name: 'trace',
  summary: 'shows the whole way of a record: back to the page, and forward to what became of it',
  usage: 'ID [--prompt]',
  words: { min: 1, max: 1 },
  settings: kafkaSettingNames,
  options: {
    prompt: z.boolean().default(false).describe('Print the exact messages sent for this record, as JSON.'),
  },
  examples: ['situ trace 0f3a…', 'situ trace 0f3a… --prompt', 'situ trace 0f3a… --json'],
  notes: ['--prompt exits 1 where the messages made again are not those that were sent, by their hash.'],
  async run(context, { prompt }) {
    const [id = ''] = context.words
    const pipeline = await openPipeline(context.config, 'read')
    try {
      const found = await findRecord(pipeline, id)
      if (!found) throw new SituError('USAGE', `no record has the id ${id}`)
      return await (prompt ? printMessages(context, pipeline, found) : printWay(context, pipeline, found))
    } finally {
      await pipeline.close()
    }
  },
})

async function printMessages({ output }: CommandContext, pipeline: Pipeline, found: Found): Promise<number> {
  const provenance = provenanceOf(found)
  if (!provenance) throw new SituError('USAGE', `${found.topic} ${found.record.id} was made without a model`)
  const { messages, matches } = await sentMessages(pipeline, provenance)
  await output.json(messages)
  if (matches === null) process.stderr.write('nothing was answered to these messages: there is no hash to compare\n')
  if (matches === false) process.stderr.write('these are NOT the messages that were sent: the hashes differ\n')
  return matches === false ? 1 : 0
}

async function printWay({ config, output }: CommandContext, pipeline: Pipeline, found: Found): Promise<number> {
  const back = (await ancestors(pipeline, found)).reverse()
  const forward = await descendants(pipeline, found)
  if (config.settings.json) {
    await output.json({ back: back.map(summary), record: summary(found), forward: forward.children.map(tree) })
    return 0
  }
  for (const step of back) await output.line(describe(step))
  await output.line(`${describe(found)}   <- this record`)
  for (const child of forward.children) await printTree(output, pipeline, child, 1)
  return 0
}

async function printTree(
  output: CommandContext['output'],
  pipeline: Pipeline,
  node: Descendant,
  depth: number,
): Promise<void> {
  await output.line(`${'  '.repeat(depth)}${describe(node)}`)
  if (node.topic === 'dropped') {
    const kept = await keptTwin(pipeline, node.record as Records['dropped'])
    if (kept) await output.line(`${'  '.repeat(depth + 1)}kept instead: ${kept}`)
  }
  for (const child of node.children) await printTree(output, pipeline, child, depth + 1)
}

/** One line: topic, id, place, and what a reader wants to know of it. */
function describe(found: Found): string {
  const { topic, partition, offset, record } = found
  const facts: string[] = []
  if ('url' in record && record.url) facts.push(record.url)
  if ('source' in record && record.source) facts.push(record.source)
  if ('reason' in record)
    facts.push(record.similarity === null ? record.reason : `${record.reason} ${record.similarity.toFixed(2)}`)
  if (topic === 'failed' && 'code' in record) facts.push(`${record.code}: ${record.message}`)
  const provenance = provenanceOf(found)
  if (provenance) {
    const { model, attempts, usage, prompt, costUsd } = provenance
    facts.push(`${model}, ${attempts.length} calls, ${usage.promptTokens} + ${usage.completionTokens} tokens`)
    facts.push(costUsd === null ? 'price unknown' : `${costUsd.toFixed(4)} USD`)
    if (prompt) facts.push(`prompt ${prompt}`)
  }
  return `${topic} ${record.id} (${partition}/${offset}) ${facts.join('; ')}`.trimEnd()
}

function summary(found: Found) {
  const { topic, partition, offset, record } = found
  return { topic, partition, offset, id: record.id, provenance: provenanceOf(found), ...kept(record) }
}

/** The small fields of a record that a trace shows. */
function kept(record: object): Record<string, unknown> {
  const names = ['url', 'title', 'source', 'operator', 'reason', 'twin', 'similarity', 'code', 'message', 'input']
  return Object.fromEntries(Object.entries(record).filter(([name]) => names.includes(name)))
}

function tree(node: Descendant): Record<string, unknown> {
  return { ...summary(node), children: node.children.map(tree) }
}
