import { z } from 'zod'
import { readStatus } from '../inspect/status.ts'
import { verify } from '../inspect/verify.ts'
import { openPipeline } from '../pipeline.ts'
import { defineCommand } from '../terminal/command.ts'
import { renderStatus } from '../terminal/status-table.ts'

export const command = defineCommand({
  name: 'topics',
  summary: 'shows every topic and operator, and whether the sums add up',
  usage: '[--verify] [--json]',
  words: { min: 0, max: 0 },
  settings: [],
  options: {
    verify: z
      .boolean()
      .default(false)
      .describe('Do not trust counters: count the records of the topics again, by parent.'),
  },
  examples: ['situ topics', 'situ topics --verify', 'situ topics --json'],
  notes: ['Exits 1 where conservation is broken: inputs = done + dropped + failed + in flight, for every operator.'],
  async run({ config, output, stop }, options) {
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
