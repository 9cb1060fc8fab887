import { configuredEndpoint } from '../models/index.ts'
import { type Duration, estimateDuration } from './duration.ts'
import type { Figures, ForecastOptions } from './figures.ts'
import { estimateLatency } from './latency.ts'
import { endpointKey } from './sample-run.ts'
import type { Estimate } from './statistics.ts'

/** How long the run takes, by what the calls of each stage with a model take. */
export function durationOf(options: ForecastOptions, withModel: readonly { own: Figures; stage: number }[]): Duration {
  const { bindings, config, told, waiting } = options
  const limits = new Map<string, { requests?: number | undefined; tokens?: number | undefined }>()
  const workloads = withModel.flatMap(({ own, stage }) => {
    const { model, stage: { name = '' } = {} } = bindings[stage] ?? {}
    if (!model) return []
    const endpoint = endpointKey(model)
    const configured = configuredEndpoint(model, config)
    limits.set(endpoint, {
      requests: configured?.requestsPerMinute ?? told.get(endpoint)?.requests,
      tokens: configured?.tokensPerMinute ?? told.get(endpoint)?.tokens,
    })
    return [
      { stage: name, endpoint, ...own, latencyMs: latencyOf(options, stage, own), slowMs: slowCallMs(options, stage) },
    ]
  })
  const { concurrency } = config.settings
  return estimateDuration({ workloads, concurrency, limits, freeSeconds: waiting.freeSeconds })
}

/** Of all calls of a stage; by what the stages of its endpoint took together, unless all of its own were made. */
function latencyOf({ bindings, sample }: ForecastOptions, stage: number, own: Figures): Estimate {
  const { low, high } = own.latencyMs
  if (!sample || low === high) return own.latencyMs
  const endpointOf = (number: number) => {
    const model = bindings[number]?.model
    return model && endpointKey(model)
  }
  const tallies = sample.flatMap(sampled =>
    [...sampled.tallies].flatMap(([number, tally]) => (endpointOf(number) === endpointOf(stage) ? tally : [])),
  )
  const sampled = tallies
    .filter(({ calls }) => calls > 0)
    .map(({ calls, completionTokens, latencyMs }) => ({
      tokens: completionTokens / calls,
      latencyMs: latencyMs / calls,
    }))
  return estimateLatency(sampled, { calls: own.calls, tokens: own.completionTokens })
}

/** Nineteen of twenty calls of a stage are quicker. */
function slowCallMs({ sample, tallies }: ForecastOptions, stage: number): number {
  const own = sample ? sample.flatMap(sampled => sampled.tallies.get(stage) ?? []) : (tallies.get(stage) ?? [])
  const latencies = own.map(({ latencyMs, calls }) => latencyMs / Math.max(1, calls)).sort((a, b) => a - b)
  return latencies[Math.ceil(0.95 * latencies.length) - 1] ?? 0
}
