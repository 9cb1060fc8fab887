import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { messageOf, SituError } from '../../schemas/errors.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Run } from '../run.ts'
import type { StageWork, TaskActivity } from '../task/activity.ts'
import { commonestOpening } from '../task/opening-window.ts'
import { type Health, judge } from './health.ts'

/** How long the transport may take to answer a look. */
const answerMs = 3000
/** How long an answer waits for a look that has begun: who probes gives up soon, Kubernetes after a second. */
const patienceMs = 500
/** A look that is younger is good enough. */
const freshMs = 500
/** From here on an opening is a label: rarer ones change with each look, and each would be a series of its own. */
const largeShare = 0.05

/** What a transport counts of itself, in the words of its metrics. */
export interface TransportMetrics {
  readonly commits?: number
  readonly rebalances?: number
  readonly restarts?: number
  readonly commitRetries?: number
}

export interface MetricsOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  recordTimeoutMs: number
  stop: AbortSignal
}

type Watched = Pick<Run, 'tasks' | 'done' | 'lags' | 'waiting'>

interface Look {
  at: number
  lags: ReadonlyMap<string, number>
  isReachable: boolean
}

/** Serves /metrics for Prometheus, and /live and /ready for whoever restarts workers. */
export class MetricsServer {
  readonly #pipeline: Pipeline
  readonly #run: Watched
  readonly #options: MetricsOptions
  readonly #server: Server
  readonly #registry = new Registry()
  readonly #metrics: StageMetrics
  #look: Look
  #looking: Promise<void> | null = null
  #lastAnswer: number
  #waitingSince: ReadonlyMap<string, number> = new Map()

  private constructor(pipeline: Pipeline, run: Watched, options: MetricsOptions) {
    this.#pipeline = pipeline
    this.#run = run
    this.#options = options
    this.#lastAnswer = pipeline.clock.now()
    this.#look = { at: 0, lags: new Map(), isReachable: true }
    this.#metrics = new StageMetrics(this.#registry)
    collectDefaultMetrics({ register: this.#registry })
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** @throws {SituError} CONFIGURATION_INVALID where the port can't be had. */
  static async open(pipeline: Pipeline, run: Watched, options: MetricsOptions): Promise<MetricsServer> {
    const metrics = new MetricsServer(pipeline, run, options)
    const { host, port } = options
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: Error) =>
        reject(new SituError('CONFIGURATION_INVALID', `--metrics-port ${port} at ${host}: ${cause.message}`, { cause }))
      metrics.#server.once('error', failed)
      metrics.#server.listen(port, host, () => resolve())
    })
    // A scrape that hangs must not keep the process.
    metrics.#server.unref()
    return metrics
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
    this.#registry.clear()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0]
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') send(response, 405, 'GET only')
      else if (path === '/metrics') send(response, 200, await this.#text(), this.#registry.contentType)
      else if (path === '/live' || path === '/ready') {
        const reasons = (await this.health())[path === '/live' ? 'live' : 'ready']
        send(response, reasons.length === 0 ? 200 : 503, reasons.join('\n') || 'ok')
      } else send(response, 404, 'there are /metrics, /live and /ready')
    } catch (error) {
      send(response, 500, messageOf(error))
    }
  }

  async health(): Promise<Health> {
    await this.#refresh()
    const { recordTimeoutMs, stop } = this.#options
    return judge({
      now: this.#pipeline.clock.now(),
      tasks: this.#run.tasks,
      lags: this.#look.lags,
      waitingSince: this.#waitingSince,
      isReachable: this.#look.isReachable,
      lastAnswer: this.#lastAnswer,
      recordTimeoutMs,
      isStopping: stop.aborted,
    })
  }

  async #text(): Promise<string> {
    const { live, ready } = await this.health()
    const transport = (this.#pipeline.transport as { metrics?: TransportMetrics }).metrics ?? {}
    this.#metrics.set(
      this.#run.done,
      this.#run.tasks ?? [],
      this.#look,
      transport,
      live.length === 0,
      ready.length === 0,
    )
    this.#metrics.setWaiting(this.#run.waiting)
    return this.#registry.metrics()
  }

  /** One look at a time, however many ask; where it takes long, the one before it has to do. */
  async #refresh(): Promise<void> {
    const { clock } = this.#pipeline
    if (clock.now() - this.#look.at < freshMs) return
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = null
    })
    const looked = new AbortController()
    await Promise.race([this.#looking, clock.sleep(patienceMs, looked.signal)])
    looked.abort()
  }

  async #lookNow(): Promise<void> {
    const { transport, clock } = this.#pipeline
    const asked = Promise.all([this.#run.lags(), transport.bounds('task', 0)])
    asked.catch(() => {})
    const late = new AbortController()
    const answered = await Promise.race([
      asked.then(
        ([lags]) => lags,
        () => null,
      ),
      clock.sleep(answerMs, late.signal).then(() => null),
    ])
    late.abort()
    const at = clock.now()
    if (answered) {
      this.#lastAnswer = at
      const waiting = [...answered].filter(([, lag]) => lag > 0)
      this.#waitingSince = new Map(waiting.map(([id]) => [id, this.#waitingSince.get(id) ?? at]))
    }
    this.#look = { at, lags: answered ?? this.#look.lags, isReachable: answered !== null }
  }
}

function send(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(text.endsWith('\n') ? text : `${text}\n`)
}

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

/** The figures by stage. Counters are set to sums that only grow. */
class StageMetrics {
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

  set(
    work: readonly StageWork[],
    tasks: readonly TaskActivity[],
    { lags, isReachable }: Look,
    transport: TransportMetrics,
    isLive: boolean,
    isReady: boolean,
  ): void {
    for (const metric of [...Object.values(this.#counters), ...Object.values(this.#gauges)]) metric.reset()
    for (const stage of work) this.#setWork(stage)
    for (const [stage, own] of Map.groupBy(tasks, ({ stage, variant }) => `${variant} ${stage}`)) {
      this.#setTasks(stage, own, lags)
    }
    this.#counters.rebalances?.inc(transport.rebalances ?? 0)
    this.#counters.restarts?.inc(transport.restarts ?? 0)
    this.#counters.commitRetries?.inc(transport.commitRetries ?? 0)
    this.#gauges.reachable?.set(isReachable ? 1 : 0)
    this.#gauges.live?.set(isLive ? 1 : 0)
    this.#gauges.ready?.set(isReady ? 1 : 0)
  }

  setWaiting(waiting: Watched['waiting']): void {
    for (const { endpoint, model, cause, calls } of waiting)
      this.#gauges.waiting?.set({ endpoint, model, cause }, calls)
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
