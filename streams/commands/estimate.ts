import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import { bindStages } from '../bind.ts'
import { chooseStages, wantedOperators } from '../chain/main-line.ts'
import { layOut } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { operatorFlags, withOperatorFlags } from '../config/operator-flags.ts'
import { spendingSettingNames } from '../config/spending-settings.ts'
import { Estimation } from '../estimate/estimate.ts'
import type { Forecast } from '../estimate/forecast.ts'
import { renderForecast } from '../estimate/render.ts'
import type { Waiting } from '../estimate/waiting.ts'
import { StandIn } from '../models/stand-in.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { snapshotFor } from '../snapshots/demonstrations.ts'
import { CallRefused, directCaller } from '../spending/caller.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { canAsk, confirm } from '../terminal/confirm.ts'
import { runOptions, withModelCalls, workSettingNames } from './run.ts'

export const command = defineCommand({
  name: 'estimate',
  summary: 'tells what a run of the operators would take: calls, tokens, money, time and drops',
  usage: '[OPERATOR …] [OPTIONS]',
  words: { min: 0, max: 100 },
  settings: ['model', ...workSettingNames, ...spendingSettingNames, ...kafkaSettingNames],
  options: {
    sample: z
      .int()
      .min(2)
      .max(10_000)
      .default(20)
      .describe('Inputs that are run for real, of each operator with a model that has any.')
      .meta({ unit: 'records' }),
    seed: z.int().min(0).max(0xffffffff).default(0).describe('Of the sample: the same seed draws the same inputs.'),
    noCall: z.boolean().default(false).describe('Make no call: count prompts, and take replies from the log.'),
    limit: z.int().min(1).optional().describe('Inputs for each operator, as of situ run.').meta({ unit: 'records' }),
    prompt: z.array(z.string()).default([]).describe('OPERATOR=FILE: another prompt for an operator.'),
    ...operatorFlags,
    yes: z.boolean().default(false).describe('Run the sample without asking.'),
  },
  examples: ['situ estimate --no-call', 'situ estimate --yes', 'situ estimate situate --sample 50 --seed 1 --json'],
  notes: [
    'Operators without a model are worked over all that waits, and nothing is written. The prompts of all waiting',
    'inputs are counted; the sample tells the rest. Its replies are kept: the run does not pay them again.',
  ],
  async run(given, { sample, seed, noCall, limit, prompt, yes, ...writing }) {
    const context = { ...given, config: withOperatorFlags(given.config, writing) }
    const { config, log, stop: signal } = context
    const wanted = wantedOperators(context.words, config)
    const pipeline = await openPipeline(config, 'change')
    try {
      const line = layOut((await readVariants(pipeline)).main.stages, wanted)
      const chosen = chooseStages(line, context.words)
      const drawn = await snapshotFor(chosen, pipeline, config)
      const bindings = bindStages(chosen, config, prompt, drawn?.snapshot)
      const { retry } = runOptions(config, signal)
      const own = { bindings, pipeline, config, log, retry, sample, seed, limit: limit ?? null, signal }
      const estimation = await Estimation.begin(own)
      try {
        if (signal.aborted) return 0
        const forecast = noCall
          ? await estimation.withoutCalls()
          : await runSample(context, pipeline, bindings, estimation, yes)
        if (forecast) await report(context, forecast)
        return 0
      } finally {
        await estimation.close()
      }
    } finally {
      await pipeline.close()
    }
  },
})

/** @returns Null where it was interrupted. @throws {SituError} USAGE, BUDGET_SPENT */
async function runSample(
  context: CommandContext,
  pipeline: Pipeline,
  bindings: readonly StageBinding[],
  estimation: Estimation,
  yes: boolean,
): Promise<Forecast | null> {
  if (!yes) await confirmSample(context, bindings, estimation.waiting)
  return withModelCalls(context, pipeline, bindings, async ({ callerOf = () => directCaller, spent }) => {
    try {
      return await estimation.withSample(callerOf)
    } catch (error) {
      if (context.stop.aborted) return null
      throw error instanceof CallRefused && spent?.aborted ? spent.reason : error
    }
  })
}

async function confirmSample(
  { stop }: CommandContext,
  bindings: readonly StageBinding[],
  { groups }: Waiting,
): Promise<void> {
  const models = bindings.flatMap(({ model }) => (model && !(model instanceof StandIn) ? model.model : []))
  const inputs = groups.reduce((sum, { picked }) => sum + picked.length, 0)
  if (models.length === 0 || inputs === 0) return
  const what = `a sample of ${inputs} inputs makes calls to ${[...new Set(models)].join(' and ')}`
  if (!canAsk()) throw new SituError('USAGE', `${what}: say --yes, or --no-call for an estimate without`)
  const question = `${what[0]?.toUpperCase()}${what.slice(1)}; the run will not pay them again. Go on?`
  if (!(await confirm('situ estimate', question, stop))) throw new SituError('USAGE', `${what}: not run`)
}

async function report({ config, output }: CommandContext, forecast: Forecast): Promise<void> {
  await (config.settings.json ? output.json(forecast) : output.line(renderForecast(forecast)))
}
