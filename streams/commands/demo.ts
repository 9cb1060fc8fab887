import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SituError } from '../../schemas/errors.ts'
import type { Deduped } from '../../schemas/records.ts'
import { bindStages } from '../bind.ts'
import { defaultInputOptions, readInputs } from '../inputs/read-inputs.ts'
import { readStatus } from '../inspect/status.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { Run } from '../run.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { renderStatus } from '../terminal/status-table.ts'
import { stages } from '../topology.ts'
import { createIngest, describeCounts, ingestWithProgress } from './ingest.ts'
import { runOptions, runWithProgress } from './run.ts'

const sample = fileURLToPath(new URL('../sample', import.meta.url))
/** Tells a folder of the demo from any other: only such a one is made fresh. */
const marker = 'situ-demo.txt'

export const command = defineCommand({
  name: 'demo',
  summary: 'runs the whole chain on a bundled sample; needs no service and no key',
  usage: '[--data DIR] [--model NAME]',
  words: { min: 0, max: 0 },
  settings: ['model', 'concurrency', 'standInLatencyMs'],
  own: { data: './situ-demo', model: 'stand-in', brokers: null, registry: null },
  options: {},
  examples: ['situ demo', 'situ demo --data /tmp/demo --model big'],
  notes: ['The folder is made fresh where it is empty or an earlier demo’s; any other is left alone (exit 2).'],
  async run(context) {
    const { config, log, output, stop } = context
    const { data, model } = config.settings
    const bindings = bindStages(stages, config)
    makeFresh(data)
    const pipeline = await openPipeline(config, 'write')
    try {
      const ingest = createIngest(pipeline, {})
      const input = { ...defaultInputOptions, stdin: process.stdin }
      const counts = await ingestWithProgress(pipeline, ingest, signal => readInputs([sample], input, signal), stop)
      await output.line(`sample: ${describeCounts(counts)}`)
      if (model === 'stand-in') {
        await output.line(
          'model: the built-in stand-in. It is no language model: it only rearranges sentences of each document.\n' +
            'It shows how records flow; what it writes is not fit for training. A real model: situ demo --model NAME',
        )
      }
      await runWithProgress(new Run(pipeline, { ...runOptions(config, stop), bindings }, log), pipeline)
      return await report(context, pipeline)
    } finally {
      await pipeline.close()
    }
  },
})

/** @throws {SituError} USAGE where the folder holds anything but an earlier demo. */
function makeFresh(data: string): void {
  if (existsSync(data) && readdirSync(data).length > 0) {
    if (!existsSync(join(data, marker))) {
      throw new SituError('USAGE', `${data} holds something that is no earlier demo: name another folder with --data`)
    }
    for (const name of readdirSync(data)) rmSync(join(data, name), { recursive: true, force: true })
  }
  mkdirSync(data, { recursive: true })
  writeFileSync(join(data, marker), 'A folder of situ demo: the next demo makes it fresh.\n')
}

async function report({ config, output }: CommandContext, pipeline: Pipeline): Promise<number> {
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  if (config.settings.json) await output.json(status)
  else {
    await output.line(`\n${renderStatus(status)}\n`)
    for await (const { record } of firstKept(pipeline, 3)) await output.line(`${describe(record)}\n`)
    const { data } = config.settings
    await output.line(
      [
        'Next:',
        `  situ tap deduped --data ${data} --pretty --limit 1     one record, whole`,
        `  situ tap dropped --data ${data}                        what was left out, and why`,
        `  situ trace ID --data ${data}                           from any id: where it came from, what became of it`,
        '  situ ingest YOUR-PAGES/ && situ run --model NAME       your own pages and model, in ./situ-data',
      ].join('\n'),
    )
  }
  return status.conservation === 'ok' ? 0 : 1
}

async function* firstKept({ transport, serde }: Pipeline, count: number): AsyncGenerator<{ record: Deduped }> {
  let left = count
  for await (const { messages } of transport.read('deduped', 0, 0)) {
    for (const { value } of messages) {
      if (left-- <= 0) return
      yield { record: await serde.decode('deduped', value) }
    }
  }
}

function describe({ text, situation, document }: Deduped): string {
  const indented = text.replaceAll('\n', '\n  ')
  return [
    `${document.url ?? document.title ?? document.id}`,
    `situation: ${situation.scene}`,
    'instruction:',
    `  ${indented}`,
  ].join('\n')
}
