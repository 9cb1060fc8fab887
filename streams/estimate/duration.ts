import { add, type Estimate, exactly, times, unknown } from './statistics.ts'

/** What the first calls lose, while an endpoint's rate is not known yet; see spending/adaptive-rate.ts. */
const rampSeconds = 0.8

/** What a stage with a model does, for the time that it takes. */
export interface Workload {
  stage: string
  /** Endpoint and model: what limits per minute are for. */
  endpoint: string
  calls: Estimate
  /** Prompts and replies. */
  tokens: Estimate
  /** Sum over the calls. */
  latencyMs: Estimate
  /** Of a slow call: while the last one runs, nothing else does. */
  slowMs: number
}

export interface DurationOptions {
  workloads: readonly Workload[]
  concurrency: number
  /** Limits per minute that are configured or were told, by endpoint. */
  limits: ReadonlyMap<string, { requests?: number | undefined; tokens?: number | undefined }>
  /** What the stages without a model take. */
  freeSeconds: number
}

export interface Duration {
  seconds: Estimate
  /** What takes the longest; null where nothing is known. */
  boundBy: string | null
}

/**
 * How long one worker takes: its stages work at the same time, each with so many records in flight, so the slowest one
 * decides, or a limit per minute. The last record goes alone, and its calls are the slow ones. The interval is that of
 * the latencies in the sample: what else the machine and the endpoint do is not in it.
 */
export function estimateDuration({ workloads, concurrency, limits, freeSeconds }: DurationOptions): Duration {
  const candidates: { name: string; seconds: Estimate }[] = []
  const busy = workloads.filter(({ calls }) => calls.high !== 0)
  for (const { stage, latencyMs, calls } of busy) {
    const inFlight = Math.max(1, Math.min(concurrency, calls.value ?? concurrency))
    candidates.push({ name: `${stage}, ${concurrency} at once`, seconds: times(latencyMs, exactly(0.001 / inFlight)) })
  }
  for (const [endpoint, { requests, tokens }] of limits) {
    const own = busy.filter(workload => workload.endpoint === endpoint)
    const at = (amount: Estimate, perMinute: number) => times(amount, exactly(60 / perMinute))
    const calls = add(...own.map(workload => workload.calls))
    const taken = add(...own.map(workload => workload.tokens))
    const name = endpoint.split(' ')[0]
    if (requests) candidates.push({ name: `requests per minute of ${name}`, seconds: at(calls, requests) })
    if (tokens) candidates.push({ name: `tokens per minute of ${name}`, seconds: at(taken, tokens) })
  }
  if (freeSeconds > 0) candidates.push({ name: 'operators without a model', seconds: exactly(freeSeconds) })
  if (candidates.length === 0) return { seconds: exactly(0), boundBy: null }
  // A limit alone tells no time where the endpoint may be slower than it.
  if (candidates.some(({ seconds }) => seconds.value === null)) return { seconds: unknown, boundBy: null }
  const longest = candidates.reduce((left, right) =>
    (right.seconds.value ?? 0) > (left.seconds.value ?? 0) ? right : left,
  )
  const alone = busy.reduce((sum, { slowMs }) => sum + slowMs / 1000, 0)
  const seconds = add(longest.seconds, exactly(busy.length > 0 ? alone + rampSeconds : 0))
  return { seconds, boundBy: longest.name }
}
