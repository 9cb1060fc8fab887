import { SituError } from '../../schemas/errors.ts'
import { budgetLimits } from '../config/spending-settings.ts'
import { StandIn } from '../models/stand-in.ts'
import type { Pipeline } from '../pipeline.ts'
import type { RetryPolicy } from '../task/call-retries.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { CommandContext } from '../terminal/command.ts'
import { canAsk, confirm } from '../terminal/confirm.ts'
import { Backlog } from './backlog.ts'
import { type EstimateOptions, Estimation } from './estimate.ts'
import { hasCalled } from './recorded.ts'
import { renderForecast } from './render.ts'

/** Inputs of each stage that are counted: the answer should come at once. */
const mostInputs = 500

export interface FirstRunOptions {
  bindings: readonly StageBinding[]
  retry: RetryPolicy
  limit: number | null
  /** Whether records may come later that nobody has seen yet. */
  follow: boolean
  /** Agreed beforehand. */
  yes: boolean
}

/**
 * Asks before the first calls of a log that may cost something: a model but the stand-in, no limit on spending, and no
 * call recorded for the chosen stages. Shows what they may take.
 *
 * @throws {SituError} USAGE where the answer is no, or nobody can be asked.
 */
export async function confirmFirstRun(
  { config, log, stop }: Pick<CommandContext, 'config' | 'log' | 'stop'>,
  pipeline: Pipeline,
  { bindings, retry, limit, follow, yes }: FirstRunOptions,
): Promise<void> {
  const paid = bindings.filter(({ model }) => model && !(model instanceof StandIn))
  const { run, day } = budgetLimits(config.settings)
  if (yes || paid.length === 0 || Object.keys({ ...run, ...day }).length > 0) return
  const { tasks } = await Backlog.open(pipeline, 0)
  if (paid.some(({ stage }) => hasCalled(stage, tasks))) return
  const forecast = bindings.some(({ ports }) => ports.search?.isRemote)
    ? 'What it takes is not known before the web is searched; situ estimate searches it for all that waits.'
    : await forecastOf({ bindings, pipeline, config, log, retry, limit, signal: stop }, follow)
  // The run that follows ends at once.
  if (stop.aborted || forecast === null) return
  const later = follow ? '\nRecords that come later are not in it.' : ''
  process.stderr.write(`The first run with ${models(paid)}, without a limit on what it may cost:\n\n`)
  process.stderr.write(`${forecast}${later}\n\n`)
  const ways = 'set a limit (--max-usd, --max-tokens, --max-calls); situ estimate tells more by a sample'
  if (!canAsk()) {
    throw new SituError('USAGE', `nothing was done: say --yes, or ${ways}`)
  }
  if (!(await confirm('situ run', 'Go on?', stop))) throw new SituError('USAGE', `nothing was done: ${ways}`)
}

/** What the run may take; null where that is no call. */
async function forecastOf(
  options: Omit<EstimateOptions, 'sample' | 'seed' | 'most'>,
  follow: boolean,
): Promise<string | null> {
  const estimation = await Estimation.begin({ ...options, sample: 0, seed: 0, most: mostInputs })
  await estimation.close()
  if (options.signal.aborted) return null
  const forecast = await estimation.withoutCalls()
  return !follow && forecast.total.calls.high === 0 ? null : renderForecast(forecast)
}

function models(bindings: readonly StageBinding[]): string {
  return [...new Set(bindings.flatMap(({ model }) => model?.model ?? []))].join(' and ')
}
