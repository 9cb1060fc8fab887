import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { messageOf, SituError } from '../../schemas/errors.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Run } from '../run.ts'
import { type Health, judge } from './health.ts'
import { StageMetrics } from './stage-metrics.ts'

/** How long the transport may take to answer a look. */
const answerMs = 3000
/** How long an answer waits for a look that has begun: who probes gives up soon, Kubernetes after a second. */
const patienceMs = 500
/** A look that is younger is good enough. */
const freshMs = 500

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
    const { lags, isReachable } = this.#look
    this.#metrics.set({
      work: this.#run.done,
      tasks: this.#run.tasks ?? [],
      waiting: this.#run.waiting,
      lags,
      transport: this.#pipeline.transport.metrics ?? {},
      isReachable,
      isLive: live.length === 0,
      isReady: ready.length === 0,
    })
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
