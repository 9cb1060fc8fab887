import { z } from 'zod'
import type { OperatorName } from '../../operators/index.ts'
import { SituError } from '../../schemas/errors.ts'
import { bindStages } from '../bind.ts'
import { findStage, firstLine, wantedOperators } from '../chain/main-line.ts'
import { checkVariantName, plannedReplay, prepareReplay, stagesThrough } from '../chain/replay.ts'
import { layOut, type Stage, stages } from '../chain/topology.ts'
import { readVariants, stageConfirmer } from '../chain/variants.ts'
import type { Config } from '../config/config.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { operatorFlags, withOperatorFlags } from '../config/operator-flags.ts'
import { spendingSettingNames } from '../config/spending-settings.ts'
import { confirmFirstRun } from '../estimate/first-run.ts'
import { openPipeline } from '../pipeline.ts'
import { Run, standingFailures } from '../run.ts'
import { snapshotFor, useSnapshot } from '../snapshots/demonstrations.ts'
import { defineCommand } from '../terminal/command.ts'
import { agreed, reportRun, runOptions, runWithProgress, withModelCalls, workSettingNames } from './run.ts'

export const command = defineCommand({
  name: 'replay',
  summary: 'works the inputs of an operator again, beside the main line, into topics of a variant',
  usage: 'OPERATOR --variant NAME [OPTIONS]',
  words: { min: 1, max: 1 },
  settings: ['ordered', 'strict', ...workSettingNames, ...spendingSettingNames, ...kafkaSettingNames],
  options: {
    variant: z.string().min(1).describe('Name of the variant: it writes NOUN.NAME.'),
    prompt: z.string().min(1).optional().describe('File with another prompt for the operator.'),
    model: z.string().min(1).optional().describe('Another model: goes before that of the configuration.'),
    from: z.string().min(1).optional().describe('First input: an offset, or a time such as 2026-01-31T12:00:00Z.'),
    until: z.string().min(1).optional().describe('Where to end: an offset or a time; that input is left out.'),
    limit: z.int().min(1).optional().describe('Inputs of the operator at most.').meta({ unit: 'records' }),
    situations: operatorFlags.situations,
    minimumScore: operatorFlags.minimumScore,
    require: operatorFlags.require,
    minimumRealScore: operatorFlags.minimumRealScore,
    through: z.string().min(1).optional().describe('Go on with the operators behind it, up to this one.'),
    yes: agreed,
  },
  examples: [
    'situ replay instruct --variant short --prompt short.md --limit 100',
    'situ replay situate --variant big --model big --through dedupe-instruction',
    'situ variants',
  ],
  notes: [
    'Nothing before the operator is called again, and the records of the main line stay as they are.',
    'Where it was interrupted, the same command goes on. --from, --until and --limit are resolved at its first call;',
    'without an end, a later call takes the inputs that have come since.',
  ],
  async run(given, options) {
    const context = { ...given, config: withOperatorFlags(given.config, options) }
    const { log, words, stop } = context
    checkVariantName(options.variant)
    const wanted = wantedOperators([...words, ...asOptional(options.through)], context.config)
    const { name, operator } = findStage(firstLine(wanted), words[0])
    if (options.prompt && !operator.prompt) throw new SituError('USAGE', `${name} has no prompt`)
    if (options.model && !operator.prompt) throw new SituError('USAGE', `${name} calls no model`)
    const config = withModel(context.config, name, options.model)
    const prompts = options.prompt ? [`${name}=${options.prompt}`] : []
    const chosenOf = (line: readonly Stage[]) => stagesThrough(findStage(line, name), options.through, line)
    bindStages(chosenOf(firstLine(wanted)), config, prompts)
    const pipeline = await openPipeline(config, 'change')
    try {
      const chosen = chosenOf(layOut((await readVariants(pipeline)).main.stages, wanted))
      const drawn = await snapshotFor(chosen, pipeline, config)
      const bound = bindStages(chosen, config, prompts, drawn?.snapshot)
      const { variant, from = null, until = null, limit = null } = options
      const range = { from, until, limit }
      const request = { variant, range, bindings: bound }
      const { retry } = runOptions(config, stop)
      const planned = await plannedReplay(pipeline, request)
      await confirmFirstRun(context, pipeline, { bindings: planned, retry, limit, follow: false, yes: options.yes })
      const bindings = await prepareReplay(pipeline, config, request)
      await useSnapshot(pipeline, drawn, log)
      const confirm = stageConfirmer(pipeline, variant)
      const summary = await withModelCalls(context, pipeline, bindings, calls => {
        const run = new Run(pipeline, { ...runOptions(config, stop), ...calls, confirm, bindings }, log)
        return runWithProgress(run, pipeline)
      })
      await reportRun(context, summary)
      return config.settings.strict && standingFailures(summary.counters) > 0 ? 1 : 0
    } finally {
      await pipeline.close()
    }
  },
})

/** Where it names an optional operator, that is asked for. */
function asOptional(through: string | undefined): string[] {
  return stages.flatMap(({ name, operator }) => (name === through && operator.optional ? [name] : []))
}

/** A model that is asked for here goes before the one that the configuration has for the operator. */
function withModel(config: Config, name: OperatorName, model: string | undefined): Config {
  const own = config.operators[name]
  if (model === undefined || !own) return config
  return Object.freeze({ ...config, operators: { ...config.operators, [name]: { ...own, model } } })
}
