import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import type { Noun } from '../../schemas/records.ts'
import { partitionOf } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { defaultIngestOptions, dryRun, Ingest, type IngestCounts, type IngestOptions } from '../ingest/ingest.ts'
import { ingestNouns } from '../ingest/ingest-records.ts'
import { type InputEvent, type InputOptions, readInputs } from '../inputs/read-inputs.ts'
import type { Logger } from '../log.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { sourceNames } from '../sources/index.ts'
import { defaultSourceOptions, instructionFields } from '../sources/source.ts'
import { sum } from '../task/task-record.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { Progress } from '../terminal/progress.ts'

const fieldList = (help: string) => z.array(z.string().min(1)).default([]).describe(help)

export const command = defineCommand({
  name: 'ingest',
  summary: 'reads files, folders and stdin into the topic page',
  usage: '[PATH … | -] [OPTIONS]',
  words: { min: 0, max: 1_000_000 },
  settings: ['strict', 'maxRecordBytes', 'partitions', ...kafkaSettingNames],
  options: {
    as: z
      .enum(ingestNouns)
      .default('page')
      .describe(
        'Topic to write: article takes clean texts as they are, instruction those that were made elsewhere, real-instruction those of people.',
      ),
    format: z
      .enum(sourceNames as [string, ...string[]])
      .optional()
      .describe('Format; default: by name, else by content.'),
    textField: fieldList('Field that holds the page or text (JSON formats); paths such as data.text are allowed.'),
    urlField: fieldList('Field that holds the address (JSON formats).'),
    titleField: fieldList('Field that holds the title (JSON formats).'),
    include: fieldList('Only files whose path below the folder matches the glob.'),
    exclude: fieldList('No files whose path below the folder matches the glob.'),
    limit: z.int().min(1).optional().describe('Inputs to read.').meta({ unit: 'records' }),
    dryRun: z.boolean().default(false).describe('Show what would be read; write nothing.'),
  },
  examples: [
    'situ ingest pages/ --include "**/*.html.gz"',
    'crawler | situ ingest -',
    'situ ingest texts.jsonl --as article --text-field body',
    'situ ingest made-elsewhere.jsonl --as instruction',
  ],
  notes: [
    `Formats: ${sourceNames.join(', ')}; each also gzipped. Without a PATH it reads stdin.`,
    'What can not be read goes to failed with its place; the rest goes on. Ctrl-C keeps what was read.',
  ],
  async run(context, options) {
    const { config, log, words, stop } = context
    const { maxRecordBytes } = config.settings
    const instructions = ['instruction', 'real-instruction'].includes(options.as)
    const input: InputOptions = {
      format: options.format ?? null,
      include: options.include,
      exclude: options.exclude,
      stdin: process.stdin,
      source: {
        maxRecordBytes,
        textField: orDefault(options.textField, instructions ? instructionFields : defaultSourceOptions.textField),
        instructions,
        urlField: orDefault(options.urlField, defaultSourceOptions.urlField),
        titleField: orDefault(options.titleField, defaultSourceOptions.titleField),
      },
    }
    const paths = words.length === 0 ? ['-'] : words
    const read = (signal: AbortSignal) => readInputs(paths, input, signal)
    const limit = options.limit ?? null
    const problems = new Problems(log)
    const onEvent = (event: InputEvent) => problems.take(event)
    try {
      const counts = options.dryRun
        ? await dryRun(read(stop), { limit, onEvent })
        : await write(context, { as: options.as, limit, onEvent }, read)
      const faults = Math.max(problems.faults, sum(counts.failed))
      await report(context, counts, faults, options.dryRun)
      // A glob that matches nothing looks like a folder without news.
      if (counts.in === 0 && options.include.length > 0 && !config.settings.json) {
        await context.output.line(`nothing was read: does ${options.include.join(' ')} match a file?`)
      }
      if (!stop.aborted) problems.throwUnreadable()
      return config.settings.strict && faults > 0 ? 1 : 0
    } finally {
      // A terminal or a pipe that stays open must not keep the process.
      process.stdin.destroy()
    }
  },
})

async function write(
  { config, stop }: CommandContext,
  options: Partial<IngestOptions>,
  read: (signal: AbortSignal) => AsyncIterable<InputEvent>,
): Promise<IngestCounts> {
  const pipeline = await openPipeline(config, 'write')
  try {
    const variants = await readVariants(pipeline)
    const ingest = createIngest(pipeline, options, noun => variants.topicOf(noun))
    return await ingestWithProgress(pipeline, ingest, read, stop)
  } finally {
    await pipeline.close()
  }
}

function orDefault(given: readonly string[], usual: readonly string[]): readonly string[] {
  return given.length > 0 ? given : usual
}

/** @param topicName - The main line's topic of a noun; default: the first one. */
export function createIngest(
  pipeline: Pipeline,
  options: Partial<IngestOptions>,
  topicName: (noun: Noun) => string = noun => noun,
): Ingest {
  const { transport, serde, clock, partitions } = pipeline
  return new Ingest(
    {
      transport,
      serde,
      clock,
      topicName,
      partitionOf: (noun, record) => partitionOf(noun, record, partitions),
    },
    { ...defaultIngestOptions, name: randomBytes(6).toString('hex'), ...options },
  )
}

export async function ingestWithProgress(
  { clock }: Pipeline,
  ingest: Ingest,
  read: (signal: AbortSignal) => AsyncIterable<InputEvent>,
  stop: AbortSignal,
): Promise<IngestCounts> {
  const progress = new Progress(process.stderr, clock, () => describeCounts(ingest.counts))
  try {
    return await ingest.run(read, stop)
  } finally {
    progress.end()
  }
}

/** Logs what can't be read, and keeps what decides the exit code. */
class Problems {
  readonly #log: Logger
  /** Inputs with a fault, those among them that stand as dead letters already. */
  faults = 0
  #unreadable = 0
  #first: SituError | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  take(event: InputEvent): void {
    if (event.kind === 'fault') {
      this.faults++
      this.#log.warn({ code: event.code, source: event.source }, event.message)
    } else if (event.kind === 'unreadable') {
      this.#unreadable++
      this.#first ??= event.error
      this.#log.error({ code: event.error.code, path: event.path }, event.error.message)
    }
  }

  /** @throws {SituError} INPUT_UNREADABLE where a path could not be opened; the others are read by now. */
  throwUnreadable(): void {
    if (this.#first === null) return
    const more = this.#unreadable > 1 ? ` (and ${this.#unreadable - 1} more paths)` : ''
    throw new SituError('INPUT_UNREADABLE', `${this.#first.message}${more}`, { cause: this.#first })
  }
}

export function describeCounts({ in: taken, done, alreadyThere, failed }: IngestCounts): string {
  return `${taken} read: ${done} new, ${alreadyThere} already there, ${sum(failed)} failed`
}

async function report(
  { config, output }: CommandContext,
  counts: IngestCounts,
  faults: number,
  dryRun: boolean,
): Promise<void> {
  const { in: taken, done, alreadyThere, failed, unreadable } = counts
  if (config.settings.json) {
    return output.json({ in: taken, done, already_there: alreadyThere, failed, faults, unreadable, dryRun })
  }
  const aside = unreadable > 0 ? `; paths that could not be read: ${unreadable}` : ''
  await output.line(`${describeCounts(counts)}${aside}${dryRun ? ' (dry run: nothing is written)' : ''}`)
  if (faults > 0 && !dryRun) await output.line(`inputs with a fault: ${faults}; situ failed tells why`)
}
