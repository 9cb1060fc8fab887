import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf, SituError } from '../../schemas/errors.ts'
import type { Deduped } from '../../schemas/records.ts'
import { bindStages } from '../bind.ts'
import { extendMainLine, firstLine, wantedOperators } from '../chain/main-line.ts'
import { spendingSettingNames } from '../config/spending-settings.ts'
import { defaultInputOptions, readInputs } from '../inputs/read-inputs.ts'
import { readStatus } from '../inspect/status.ts'
import { makeFolder } from '../make-folder.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { Run } from '../run.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { table, wrap } from '../terminal/output.ts'
import { renderStatus } from '../terminal/status-table.ts'
import { createIngest, describeCounts, ingestWithProgress } from './ingest.ts'
import { runOptions, runWithProgress, withModelCalls } from './run.ts'

const sample = fileURLToPath(new URL('../sample', import.meta.url))
const maxColumns = 100
const aboutStandIn =
  'model: the built-in stand-in. It is no language model: it only rearranges sentences of each document.\n' +
  'It shows how records flow; what it writes is not fit for training. A real model: npx situ demo --model NAME'

/** Tells a folder of the demo from any other: only such a one is made fresh. */
const marker = 'situ-demo.txt'

export const command = defineCommand({
  name: 'demo',
  summary: 'runs the whole chain on a bundled sample; needs no service and no key',
  usage: '[--data DIR] [--model NAME]',
  words: { min: 0, max: 0 },
  settings: ['model', 'concurrency', 'standInLatencyMs', 'recipe', 'benchmarks', ...spendingSettingNames],
  own: { data: './situ-demo', model: 'stand-in', brokers: null, registry: null },
  options: {},
  examples: ['situ demo', 'situ demo --data /tmp/demo --model big'],
  notes: ['The folder is made fresh where it is empty or an earlier demo’s; any other is left alone (exit 2).'],
  async run(context) {
    const { config, log, output, stop } = context
    const { data, model, json } = config.settings
    const wanted = wantedOperators([], config)
    bindStages(firstLine(wanted), config)
    makeFresh(data)
    const pipeline = await openPipeline(config, 'write')
    try {
      const bindings = bindStages(await extendMainLine(pipeline, config, wanted), config)
      const ingest = createIngest(pipeline, {})
      const input = { ...defaultInputOptions, stdin: process.stdin }
      const counts = await ingestWithProgress(pipeline, ingest, signal => readInputs([sample], input, signal), stop)
      if (!json) {
        await output.line(`sample: ${describeCounts(counts)}`)
        await output.line(model === 'stand-in' ? aboutStandIn : `model: ${model}`)
      }
      await withModelCalls(context, pipeline, bindings, calls =>
        runWithProgress(new Run(pipeline, { ...runOptions(config, stop), ...calls, bindings }, log), pipeline),
      )
      return await report(context, pipeline)
    } finally {
      await pipeline.close()
    }
  },
})

/** @throws {SituError} USAGE where the folder holds anything but an earlier demo; DATA_UNREADABLE. */
function makeFresh(data: string): void {
  try {
    const names = existsSync(data) ? readdirSync(data) : []
    if (names.length > 0 && !names.includes(marker)) {
      throw new SituError('USAGE', `${data} holds something that is no earlier demo: name another folder with --data`)
    }
    for (const name of names) rmSync(join(data, name), { recursive: true, force: true })
    makeFolder(data)
    writeFileSync(join(data, marker), 'A folder of situ demo: the next demo makes it fresh.\n')
  } catch (cause) {
    if (cause instanceof SituError) throw cause
    throw new SituError('DATA_UNREADABLE', `data folder ${data} can't be made fresh: ${messageOf(cause)}`, { cause })
  }
}

async function report({ config, output }: CommandContext, pipeline: Pipeline): Promise<number> {
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  if (config.settings.json) await output.json(status)
  else {
    await output.line(`\n${renderStatus(status)}\n`)
    const columns = Math.min(process.stdout.columns ?? maxColumns, maxColumns)
    for (const record of await shortest(pipeline, 3)) await output.line(`${describe(record, columns)}\n`)
    await output.line(`Next:\n${table(nextCommands(config.settings.data))}`)
  }
  return status.conservation === 'ok' ? 0 : 1
}

function nextCommands(data: string): string[][] {
  return [
    [`  npx situ tap deduped --data ${data} --pretty --limit 1`, 'one record, whole'],
    [`  npx situ tap dropped --data ${data}`, 'what was left out, and why'],
    [`  npx situ trace ID --data ${data}`, 'from any id: where it came from, what became of it'],
    ['  npx situ ingest YOUR-PAGES/ && npx situ run --model NAME', 'your own pages and model, in ./situ-data'],
  ]
}

/** The shortest instructions, so that they fit a screen; those of pages with an address first. */
async function shortest({ transport, serde }: Pipeline, count: number): Promise<Deduped[]> {
  const records: Deduped[] = []
  for await (const { messages } of transport.read('deduped', 0, 0)) {
    for (const { value } of messages) records.push(await serde.decode('deduped', value))
  }
  const hasAddress = ({ document }: Deduped) => (document?.url == null ? 0 : 1)
  return records
    .sort((left, right) => hasAddress(right) - hasAddress(left) || left.text.length - right.text.length)
    .slice(0, count)
}

function describe({ text, situation, document }: Deduped, columns: number): string {
  return [
    `${document?.url ?? document?.title ?? document?.id}`,
    wrap(`situation: ${situation?.scene}`, columns),
    'instruction:',
    wrap(text, columns, '  '),
  ].join('\n')
}
