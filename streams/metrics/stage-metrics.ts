import { Counter, Gauge, type Registry } from 'prom-client'
import type { EndpointWaiting } from '../spending/endpoints.ts'
import type { StageWork, TaskActivity } from '../task/activity.ts'
import { commonestOpening } from '../task/opening-window.ts'
import type { TransportMetrics } from '../transports/transport.ts'

/** From here on an opening is a label: rarer ones change with each look, and each would be a series of its own. */
const largeShare = 0.05

const byStage = ['stage', 'variant'] as const
const byPrompt = [...byStage, 'model', 'prompt'] as const
const spentFigures = [
  'calls',
  'fromCache',
  'promptTokens',
  'cachedTokens',
  'completionTokens',
  'costUsd',
  'unpriced',
] as const

/** What a process tells at one moment. */
export interface Figures {
  work: readonly StageWork[]
  tasks: readonly TaskActivity[]
  waiting: readonly EndpointWaiting[]
  /** Messages that wait, by the id of the task. */
  lags: ReadonlyMap<string, number>
  transport: TransportMetrics
  isReachable: boolean
  isLive: boolean
  isReady: boolean
}

/** The figures by stage. Counters are set to sums that only grow. */
export class StageMetrics {
  readonly #counters: Readonly<Record<string, Counter<string>>>
  readonly #gauges: Readonly<Record<string, Gauge<string>>>

  constructor(registry: Registry) {
    const registers = [registry]
    const counter = (name: string, help: string, ...labels: string[]) =>
      new Counter({ name: `situ_${name}`, help, labelNames: labels, registers })
    const gauge = (name: string, help: string, ...labels: string[]) =>
      new Gauge({ name: `situ_${name}`, help, labelNames: labels, registers })
    this.#counters = {
      in: counter('record_in_total', 'Inputs taken by this process.', ...byStage),
      done: counter('record_done_total', 'Inputs that gave an output.', ...byStage),
      out: counter('record_out_total', 'Outputs written.', ...byStage),
      dropped: counter('record_dropped_total', 'Inputs dropped, by reason.', ...byStage, 'reason'),
      retried: counter('record_retried_total', 'Dead letters put back to work.', ...byStage),
      calls: counter('call_total', 'Model calls of committed outcomes, failed ones among them.', ...byPrompt),
      fromCache: counter('call_from_cache_total', 'Replies served from the cache of paid replies.', ...byPrompt),
      promptTokens: counter('prompt_token_total', 'Tokens of the calls.', ...byPrompt),
      cachedTokens: counter('prompt_token_cached_total', 'Those from the prefix cache of the endpoint.', ...byPrompt),
      completionTokens: counter('completion_token_total', 'Tokens of the replies.', ...byPrompt),
      costUsd: counter('cost_usd_total', 'Cost of the calls as far as it is known.', ...byPrompt),
      unpriced: counter('call_unpriced_total', 'Answered calls whose cost is not known.', ...byPrompt),
      commits: counter('commit_total', 'Commits of outcomes.', ...byStage),
      taken: counter('task_taken_total', 'Tasks taken.', ...byStage),
      lost: counter('task_lost_total', 'Tasks taken over by other workers.', ...byStage),
      rebalances: counter('rebalance_total', 'Assignments received from the group.'),
      restarts: counter('restart_total', 'Times that the consumer had to join the group anew.'),
      commitRetries: counter('commit_retry_total', 'Commits made again after an error of a broker.'),
    }
    this.#gauges = {
      lag: gauge('lag_records', 'Messages that wait for the tasks of this process.', ...byStage),
      inFlight: gauge('in_flight_records', 'Inputs taken and not committed.', ...byStage),
      failed: gauge(
        'dead_letter_records',
        'Dead letters that stand, of the tasks of this process.',
        ...byStage,
        'code',
      ),
      oldest: gauge('oldest_record_seconds', 'Age of the record that is worked the longest.', ...byStage),
      tasks: gauge('task_count', 'Tasks of this process.', ...byStage),
      fetched: gauge('last_fetch_timestamp_seconds', 'Newest fetch of a task.', ...byStage),
      committed: gauge('last_commit_timestamp_seconds', 'Newest commit of a task.', ...byStage),
      openingShare: gauge(
        'opening_share',
        'Share of the last outputs that begin with the commonest opening.',
        ...byStage,
      ),
      openingOutputs: gauge('opening_records', 'Outputs that this share is of.', ...byStage),
      opening: gauge('commonest_opening', 'That share, where it is large, with the opening.', ...byStage, 'opening'),
      waiting: gauge('waiting_calls', 'Model calls that wait, by cause.', 'endpoint', 'model', 'cause'),
      reachable: gauge('transport_reachable', '1 where the transport answers.'),
      live: gauge('live', 'As /live tells.'),
      ready: gauge('ready', 'As /ready tells.'),
    }
  }

  set({ work, tasks, waiting, lags, transport, isReachable, isLive, isReady }: Figures): void {
    for (const metric of [...Object.values(this.#counters), ...Object.values(this.#gauges)]) metric.reset()
    for (const stage of work) this.#setWork(stage)
    for (const [stage, own] of Map.groupBy(tasks, ({ stage, variant }) => `${variant} ${stage}`)) {
      this.#setTasks(stage, own, lags)
    }
    for (const { endpoint, model, cause, calls } of waiting) {
      this.#gauges.waiting?.set({ endpoint, model, cause }, calls)
    }
    this.#counters.rebalances?.inc(transport.rebalances ?? 0)
    this.#counters.restarts?.inc(transport.restarts ?? 0)
    this.#counters.commitRetries?.inc(transport.commitRetries ?? 0)
    this.#gauges.reachable?.set(isReachable ? 1 : 0)
    this.#gauges.live?.set(isLive ? 1 : 0)
    this.#gauges.ready?.set(isReady ? 1 : 0)
  }

  #setWork({ stage, variant, worked, commits, taken, lost }: StageWork): void {
    const labels = { stage, variant }
    const { in: takenIn, done, out, retried } = worked
    for (const [name, value] of Object.entries({ in: takenIn, done, out, retried, commits, taken, lost })) {
      this.#counters[name]?.inc(labels, value)
    }
    for (const spent of worked.spent) {
      const own = { ...labels, model: spent.model, prompt: spent.prompt ?? '' }
      for (const name of spentFigures) this.#counters[name]?.inc(own, spent[name])
    }
    for (const [reason, value] of Object.entries(worked.dropped))
      this.#counters.dropped?.inc({ ...labels, reason }, value)
    for (const [code, value] of Object.entries(worked.failed)) this.#gauges.failed?.set({ ...labels, code }, value)
    this.#gauges.inFlight?.set(labels, worked.inFlight)
  }

  #setTasks(key: string, tasks: readonly TaskActivity[], lags: ReadonlyMap<string, number>): void {
    const [variant = '', stage = ''] = key.split(' ')
    const labels = { stage, variant }
    const newest = (of: (task: TaskActivity) => number | null) => Math.max(...tasks.map(task => of(task) ?? 0)) / 1000
    this.#gauges.tasks?.set(labels, tasks.length)
    this.#gauges.lag?.set(
      labels,
      tasks.reduce((total, { id }) => total + (lags.get(id) ?? 0), 0),
    )
    this.#gauges.oldest?.set(labels, Math.max(...tasks.map(({ oldestMs }) => oldestMs)) / 1000)
    this.#gauges.fetched?.set(
      labels,
      newest(({ lastFetch }) => lastFetch),
    )
    this.#gauges.committed?.set(
      labels,
      newest(({ lastCommit }) => lastCommit),
    )
    const opening = commonestOpening(tasks.map(({ openings }) => openings))
    if (!opening) return
    this.#gauges.openingShare?.set(labels, opening.share)
    this.#gauges.openingOutputs?.set(labels, opening.outputs)
    if (opening.share >= largeShare) this.#gauges.opening?.set({ ...labels, opening: opening.text }, opening.share)
  }
}
