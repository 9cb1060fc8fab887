import { z } from 'zod'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { bindStages } from '../bind.ts'
import { chooseStages, extendMainLine, firstLine, wantedOperators } from '../chain/main-line.ts'
import { mainVariant } from '../chain/topology.ts'
import { stageConfirmer } from '../chain/variants.ts'
import type { Config, SettingName } from '../config/config.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { operatorFlags, withOperatorFlags } from '../config/operator-flags.ts'
import { spendingSettingNames } from '../config/spending-settings.ts'
import { confirmFirstRun } from '../estimate/first-run.ts'
import { RemainingWork } from '../estimate/remaining.ts'
import { waitingBefore } from '../inspect/status.ts'
import { openPipeline, type Pipeline } from '../pipeline.ts'
import { applyRetention } from '../retention.ts'
import { Run, type RunOptions, type RunSummary, standingFailures } from '../run.ts'
import { snapshotFor, useSnapshot } from '../snapshots/demonstrations.ts'
import { ModelCalls } from '../spending/model-calls.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import { sum } from '../task/task-record.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { Progress } from '../terminal/progress.ts'
import { renderStages } from '../terminal/status-table.ts'

const retentionIntervalMs = 60_000

/** Option of the commands that ask before their first calls. */
export const agreed = z
  .boolean()
  .default(false)
  .describe('Do not ask before the first calls to a model, without a limit on what they may cost.')

/** Settings of the commands that work records. */
export const workSettingNames = [
  'concurrency',
  'drainSeconds',
  'recordTimeoutSeconds',
  'modelTimeoutSeconds',
  'maxAttempts',
  'backoffMs',
  'standInLatencyMs',
  'recipe',
  'benchmarks',
  'demonstrations',
  'embedder',
] as const satisfies readonly SettingName[]

export const command = defineCommand({
  name: 'run',
  summary: 'runs the operators until all is done, or for ever with --follow',
  usage: '[OPERATOR …] [OPTIONS]',
  words: { min: 0, max: 100 },
  settings: [
    'model',
    'ordered',
    'strict',
    ...workSettingNames,
    'partitions',
    'retentionDays',
    'retentionBytes',
    'metricsPort',
    'metricsHost',
    ...spendingSettingNames,
    ...kafkaSettingNames,
  ],
  options: {
    follow: z.boolean().default(false).describe('Go on waiting for records; ends on SIGINT or SIGTERM.'),
    untilIdle: z.boolean().default(false).describe('End when all is done (this is the default).'),
    limit: z.int().min(1).optional().describe('Inputs for each operator.').meta({ unit: 'records' }),
    prompt: z.array(z.string()).default([]).describe('OPERATOR=FILE: another prompt for an operator.'),
    acceptChange: z
      .boolean()
      .default(false)
      .describe('Go on though prompt, model, parameters or options have changed.'),
    acceptLoss: z
      .boolean()
      .default(false)
      .describe('Go on where a topic begins though records that waited were deleted (POSITION_LOST).'),
    ...operatorFlags,
    yes: agreed,
  },
  examples: [
    'situ run extract',
    'situ run --model stand-in',
    'situ run situate instruct --model big --concurrency 64 --follow',
    'situ run --prompt instruct=my-instruct.md --accept-change',
    'situ run --one-call --situations 3 --model big',
  ],
  notes: [
    'A second run on the same folder takes the tasks that are free and names those that are held.',
    '--metrics-port serves /metrics (Prometheus), /live (a restart may help) and /ready (it works now).',
    'SIGINT and SIGTERM end it cleanly within --drain-seconds; the next run goes on from there.',
    'The first run with a model, without --max-usd, --max-tokens, --max-calls or the like, shows its forecast and asks.',
  ],
  async run(given, options) {
    const context = { ...given, config: withOperatorFlags(given.config, options) }
    if (options.follow && options.untilIdle)
      throw new SituError('USAGE', '--follow and --until-idle exclude each other')
    const { config, log } = context
    const { words } = context
    const wanted = wantedOperators(words, config)
    // Before anything is opened or made: what is wrong with prompts and models.
    bindStages(chooseStages(firstLine(wanted), words), config, options.prompt)
    // A data folder is made by what fills it: a misspelled one must not look like one without work.
    const pipeline = await openPipeline(config, 'change')
    try {
      const line = await extendMainLine(pipeline, config, wanted)
      const chosen = chooseStages(line, words)
      const drawn = await snapshotFor(chosen, pipeline, config)
      const bindings = bindStages(chosen, config, options.prompt, drawn?.snapshot)
      const { retry } = runOptions(config, context.stop)
      const { follow, yes } = options
      await confirmFirstRun(context, pipeline, { bindings, retry, limit: options.limit ?? null, follow, yes })
      await useSnapshot(pipeline, drawn, log)
      const confirm = stageConfirmer(pipeline, mainVariant)
      const summary = await withModelCalls(context, pipeline, bindings, calls => {
        const limit = options.limit ?? null
        const own = { ...runOptions(config, context.stop), ...options, ...calls, confirm, bindings, limit }
        const run = new Run(pipeline, own, log)
        const work = () => runWithProgress(run, pipeline)
        return withRetention(context, pipeline, () => withMetrics(context, pipeline, run, work))
      })
      // Not where it was told to end: an orchestrator counts the seconds.
      const waiting = context.stop.aborted ? {} : await waitingBefore(pipeline, line, chosen)
      await reportRun(context, summary, waiting)
      return config.settings.strict && standingFailures(summary.counters) > 0 ? 1 : 0
    } finally {
      await pipeline.close()
    }
  },
})

/** Serves metrics and health while it works, where a port is configured. */
async function withMetrics<T>(
  { config: { settings }, log, stop }: CommandContext,
  pipeline: Pipeline,
  run: Run,
  work: () => Promise<T>,
): Promise<T> {
  const { metricsPort: port, metricsHost: host, recordTimeoutSeconds } = settings
  if (port === undefined) return work()
  const { MetricsServer } = await import('../metrics/metrics.ts')
  const server = await MetricsServer.open(pipeline, run, {
    host,
    port,
    recordTimeoutMs: recordTimeoutSeconds * 1000,
    stop,
  })
  log.info({ host, port: server.port }, `metrics at http://${host}:${server.port}/metrics`)
  try {
    return await work()
  } finally {
    server.close()
  }
}

/** Deletes old records every now and then, and at the end. */
async function withRetention<T>(
  { config, log }: CommandContext,
  pipeline: Pipeline,
  work: () => Promise<T>,
): Promise<T> {
  const ended = new AbortController()
  const retaining = (async () => {
    while (!ended.signal.aborted) {
      await pipeline.clock.sleep(retentionIntervalMs, ended.signal)
      const deleted = await applyRetention(pipeline, config)
      if (deleted > 0) log.info({ deleted }, 'retention')
    }
  })()
  try {
    return await work()
  } finally {
    ended.abort()
    await retaining.catch(error => log.error({ error: messageOf(error) }, 'retention failed'))
  }
}

/** Opens what model calls go through, for as long as the work takes. */
export async function withModelCalls<T>(
  { config, log, stop }: Pick<CommandContext, 'config' | 'log' | 'stop'>,
  { clock }: Pipeline,
  bindings: readonly StageBinding[],
  work: (options: Pick<RunOptions, 'callerOf' | 'spent' | 'waiting'>) => Promise<T>,
): Promise<T> {
  const calls = await ModelCalls.open(bindings, { config, clock, log })
  if (!calls) return work({})
  let drainBegan = Number.POSITIVE_INFINITY
  const beginDrain = () => {
    drainBegan = Math.min(drainBegan, clock.now())
  }
  for (const signal of [stop, calls.spent]) signal.addEventListener('abort', beginDrain, { once: true })
  try {
    return await work({ callerOf: () => calls.caller, spent: calls.spent, waiting: () => calls.waiting })
  } finally {
    // The drain of the records and that of calls which nobody waits for any more have one deadline.
    const taken = Math.max(0, clock.now() - drainBegan)
    await calls.close(Math.max(0, config.settings.drainSeconds * 1000 - taken))
  }
}

/** The run options that are settings. */
export function runOptions({ settings }: Config, stop: AbortSignal): Omit<RunOptions, 'bindings'> {
  return {
    concurrency: settings.concurrency,
    limit: null,
    follow: false,
    ordered: settings.ordered,
    acceptChange: false,
    acceptLoss: false,
    drainMs: settings.drainSeconds * 1000,
    retry: {
      maxAttempts: settings.maxAttempts,
      backoffMs: settings.backoffMs,
      maxBackoffMs: 30_000,
      recordTimeoutMs: settings.recordTimeoutSeconds * 1000,
    },
    stop,
  }
}

export async function runWithProgress(run: Run, { clock }: Pipeline): Promise<RunSummary> {
  const rest = new RemainingWork(run, clock)
  const line = () => [progressLine(run), rest.text, waitingText(run.waiting)].filter(part => part !== '').join('; ')
  const progress = new Progress(process.stderr, clock, line)
  try {
    return await run.work()
  } finally {
    progress.end()
  }
}

/** Such as `waiting: tokens per minute`. */
function waitingText(waiting: Run['waiting']): string {
  const causes = new Set(waiting.map(({ cause }) => cause))
  return causes.size === 0 ? '' : `waiting: ${[...causes].join(', ')}`
}

/** Such as `extract 66 (2 dropped), situate 40 + 16 in flight`. */
function progressLine(run: Run): string {
  const parts = Object.entries(run.counters).map(([name, { done, dropped, failed, inFlight }]) => {
    const aside = [
      ...(sum(dropped) > 0 ? [`${sum(dropped)} dropped`] : []),
      ...(sum(failed) > 0 ? [`${sum(failed)} failed`] : []),
    ]
    const flight = inFlight > 0 ? ` + ${inFlight} in flight` : ''
    return `${name} ${done}${aside.length > 0 ? ` (${aside.join(', ')})` : ''}${flight}`
  })
  return parts.join(', ') || 'starting'
}

/** @param waiting - Inputs that wait for operators which the run did not work, by the name of the operator. */
export async function reportRun(
  { config, output }: CommandContext,
  { counters, held }: RunSummary,
  waiting?: Readonly<Record<string, number>>,
): Promise<void> {
  if (config.settings.json) return output.json({ operators: counters, held, waiting })
  if (held.length > 0) await output.line(`held by another worker: ${held.join(', ')}`)
  if (Object.keys(counters).length === 0) return output.line('nothing to do: no task was free')
  await output.line(renderStages(counters))
  const left = Object.entries(waiting ?? {}).map(([name, records]) => `${records} for ${name}`)
  if (left.length > 0) await output.line(`\nrecords wait for operators that this run did not work: ${left.join(', ')}`)
  const failures = standingFailures(counters)
  if (failures > 0) await output.line(`\n${failures} dead letters stand: situ failed tells why`)
}
