import { type Estimate, estimateTotal, exactly, intervalOf, times } from './statistics.ts'

/** The calls that an input of the sample took at one stage: their mean. */
export interface SampledCall {
  /** Tokens of the reply. */
  tokens: number
  latencyMs: number
}

/**
 * Latencies of all calls of a stage, by the tokens of their replies: what stages ask of one endpoint in common tells of
 * each of them. Were each judged by its own sample alone, the slowest stage, which decides on the time of a run, would
 * be the one whose sample happened to be slow.
 *
 * @param sampled - Of all stages that call the endpoint.
 * @param stage - Calls, and tokens of all replies, of the stage.
 */
export function estimateLatency(
  sampled: readonly SampledCall[],
  { calls, tokens }: { calls: Estimate; tokens: Estimate },
): Estimate {
  if (!calls.value || tokens.value === null) return times(calls, exactly(0))
  const points = sampled.map(call => ({ x: call.tokens, y: call.latencyMs }))
  // The stage's own are a part of them: even where they are all there are, they are no whole population.
  const size = Math.max(calls.value, points.length + 1)
  const total = intervalOf(estimateTotal(points, { size, meanX: tokens.value / calls.value }))
  return times(calls, times(total, exactly(1 / size)))
}
