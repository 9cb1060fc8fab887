import jsonata from 'jsonata'
import { z } from 'zod'
import { isOfRecord, messageOf, SituError } from '../../schemas/errors.ts'
import { nounOfTopic } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { instantOf } from '../instant.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { defineCommand } from '../terminal/command.ts'
import { toJson } from '../terminal/output.ts'
import { merge } from '../transports/merge.ts'
import type { Message } from '../transports/transport.ts'

/** What a line shows of a message. */
interface Line {
  topic: string
  partition: number
  offset: number
  key: string | null
  /** Milliseconds since 1970, UTC. */
  timestamp: number
  value: unknown
}

export const command = defineCommand({
  name: 'tap',
  summary: 'reads a topic as JSON lines, while others write',
  usage: 'TOPIC [OPTIONS]',
  words: { min: 1, max: 1 },
  settings: kafkaSettingNames,
  options: {
    follow: z.boolean().default(false).describe('Wait for more at the end.'),
    from: z
      .string()
      .default('earliest')
      .describe('earliest, latest, an offset, or a time such as 2026-01-31T12:00:00Z.'),
    limit: z.int().min(1).optional().describe('Lines to print.').meta({ unit: 'records' }),
    where: z.string().min(1).optional().describe('JSONata expression on the printed object: keep what it is true for.'),
    fields: z.string().min(1).optional().describe('Paths to print, with commas: value.id,offset. Nesting is kept.'),
    variant: z.string().min(1).optional().describe('Of this variant; default: of the main line.'),
    pretty: z.boolean().default(false).describe('Indent.'),
  },
  examples: [
    'situ tap deduped --limit 3 --pretty',
    'situ tap dropped --where \'value.reason = "near_duplicate"\' --fields value.input,value.twin',
    'situ tap instruction --follow --from latest | head -3',
    'situ tap deduped --variant short',
  ],
  async run({ config, words: [topic = ''], output, stop }, options) {
    const noun = nounOfTopic(topic)
    const keep = options.where ? compileWhere(options.where) : null
    const paths = options.fields?.split(',').map(path => path.trim().split('.'))
    const pipeline = await openPipeline(config, 'read')
    try {
      let left = options.limit ?? Number.POSITIVE_INFINITY
      const view = (await readVariants(pipeline)).view(topic, options.variant)
      for await (const message of await openReaders(pipeline, view.topic, options.from, options.follow, stop)) {
        const line = { ...frame(message), value: await readValue(pipeline, noun, message) }
        if (!view.keeps(line.value ?? {})) continue
        if (keep && !(await keep(line))) continue
        await output.line(toJson(paths ? pick(line, paths) : line, options.pretty ? 2 : undefined))
        left--
        if (left === 0 || stop.aborted) break
      }
      return 0
    } finally {
      await pipeline.close()
    }
  },
})

async function openReaders(
  { transport, partitions }: Pipeline,
  topic: string,
  from: string,
  follow: boolean,
  signal: AbortSignal,
): Promise<AsyncIterable<Message>> {
  const readers: AsyncIterable<Message>[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const start = await offsetOf(transport, topic, partition, from)
    readers.push(messagesOf(transport.read(topic, partition, start, { follow, signal })))
  }
  return merge(readers)
}

async function* messagesOf(batches: ReturnType<Pipeline['transport']['read']>): AsyncGenerator<Message> {
  for await (const { messages } of batches) yield* messages
}

async function offsetOf(
  transport: Pipeline['transport'],
  topic: string,
  partition: number,
  from: string,
): Promise<number> {
  if (from === 'earliest') return 0
  if (from === 'latest') return (await transport.bounds(topic, partition)).end
  if (/^\d+$/.test(from)) return Number(from)
  const time = instantOf(from)
  if (time === null) throw new SituError('USAGE', `--from ${from}: expected earliest, latest, an offset or a time`)
  return transport.offsetAt(topic, partition, time)
}

function frame({ topic, partition, offset, key, timestamp }: Message): Omit<Line, 'value'> {
  return { topic, partition, offset, key, timestamp }
}

/** A message that is no record is shown as such: a tap must not end on it. */
async function readValue({ serde }: Pipeline, noun: Parameters<Pipeline['serde']['decode']>[0], { value }: Message) {
  if (value === null) return null
  try {
    return await serde.decode(noun, value)
  } catch (error) {
    if (isOfRecord(error)) return { unreadable: error.message, bytes: value }
    throw error
  }
}

/** @throws {SituError} USAGE for an expression that is no JSONata. */
function compileWhere(expression: string): (line: Line) => Promise<boolean> {
  let compiled: ReturnType<typeof jsonata>
  try {
    compiled = jsonata(expression)
  } catch (cause) {
    throw new SituError('USAGE', `--where ${expression}: ${problemOf(cause)}`, { cause })
  }
  return async line => {
    try {
      return Boolean(await compiled.evaluate(line))
    } catch (cause) {
      throw new SituError('USAGE', `--where ${expression}: ${problemOf(cause)}`, { cause })
    }
  }
}

/** JSONata throws objects that are no errors. */
function problemOf(cause: unknown): string {
  return isObject(cause) && 'message' in cause ? String(cause.message) : messageOf(cause)
}

function pick(line: Line, paths: readonly string[][]): Record<string, unknown> {
  const picked: Record<string, unknown> = Object.create(null)
  for (const path of paths) {
    let from: unknown = line
    for (const name of path) from = isObject(from) && Object.hasOwn(from, name) ? from[name] : undefined
    if (from !== undefined) place(picked, path, from)
  }
  return picked
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let into = target
  for (const name of path.slice(0, -1)) {
    if (!isObject(into[name])) into[name] = Object.create(null)
    into = into[name] as Record<string, unknown>
  }
  into[path.at(-1) ?? ''] = value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
