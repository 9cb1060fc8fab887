import type { Config } from '../config/config.ts'
import { configuredEndpoint } from '../models/index.ts'
import { StandIn } from '../models/stand-in.ts'
import { costOf } from '../spending/price.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import type { RecordedFlow } from './recorded.ts'
import type { Sampled, SampleRun, Tally } from './sample-run.ts'
import {
  add,
  addTotals,
  type Estimate,
  estimateTotal,
  exactly,
  intervalOf,
  meanOfMore,
  sum,
  times,
  unknown,
} from './statistics.ts'
import type { Waiting } from './waiting.ts'

export interface ForecastOptions {
  bindings: readonly StageBinding[]
  config: Config
  waiting: Waiting
  recorded: readonly RecordedFlow[]
  /** What recorded outputs took, by number of the stage. */
  tallies: ReadonlyMap<number, readonly Tally[]>
  /** Null where no call was to be made. */
  sample: readonly Sampled[] | null
  told: SampleRun['told']
}

/** What model calls take. */
export interface Cost {
  calls: Estimate
  promptTokens: Estimate
  completionTokens: Estimate
  tokens: Estimate
  usd: Estimate
}

export type Figures = Cost & { latencyMs: Estimate }

/** Of one tally. */
const figureOf = {
  calls: ({ calls }: Tally) => calls,
  promptTokens: ({ promptTokens }: Tally) => promptTokens,
  completionTokens: ({ completionTokens }: Tally) => completionTokens,
  tokens: ({ promptTokens, completionTokens }: Tally) => promptTokens + completionTokens,
  usd: ({ usd }: Tally) => usd,
  latencyMs: ({ latencyMs }: Tally) => latencyMs,
}
type FigureName = keyof typeof figureOf
const figureNames = Object.keys(figureOf) as FigureName[]
/** Totals over some stages, by the regression of what the sampled inputs took on the tokens of their first prompt. */
export function sampledFigures({ waiting, sample }: ForecastOptions, stages: readonly number[]): Figures {
  const estimate = (name: FigureName): Estimate => {
    let least = 0
    const totals = []
    for (const group of waiting.groups.filter(({ size }) => size > 0)) {
      const own = (sample ?? []).filter(sampled => sampled.group === group)
      const ys = own.map(({ tallies }) =>
        sumFigures(
          stages.flatMap(stage => tallies.get(stage) ?? []),
          name,
        ),
      )
      if (ys.some(y => y === null) || own.length === 0) return unknown
      const points = own.map(({ promptTokens }, index) => ({ x: promptTokens, y: ys[index] ?? 0 }))
      least += points.reduce((sum, { y }) => sum + y, 0)
      totals.push(estimateTotal(points, { size: group.size, meanX: group.promptTokens / group.size }))
    }
    return totals.length === 0 ? exactly(0) : intervalOf(addTotals(totals), least)
  }
  return Object.fromEntries(figureNames.map(name => [name, estimate(name)])) as unknown as Figures
}

/** From counted prompts and recorded replies; where there are none, limits are the upper bounds. */
export function countedFigures(
  { bindings, waiting, tallies, config }: ForecastOptions,
  stage: number,
  inputs: Estimate,
): Figures {
  const { model, options } = bindings[stage] ?? {}
  if (!model) throw new Error('a stage without a model takes no calls')
  const recorded = tallies.get(stage) ?? []
  const mean = (name: FigureName) => {
    const values = recorded.map(figureOf[name])
    return values.some(value => value === null) ? unknown : meanOfMore(values as number[], inputs.value ?? 1)
  }
  const group = waiting.groups.find(own => own.stage === stage)
  const size = group?.size ?? 0
  const toCome = { value: rest(inputs.value, size), low: rest(inputs.low, size), high: rest(inputs.high, size) }
  const each = recorded.length > 0 ? mean('calls') : exactly(samplesOf(options))
  const longest = Math.min(promptLimit(options), model.contextTokens - model.replyTokens)
  const atMost = (figure: Estimate, most: number) =>
    recorded.length > 0 ? figure : { value: most === 0 ? 0 : null, low: 0, high: most }
  const calls = times(inputs, each)
  const ofWaiting = times(exactly(group?.promptTokens ?? 0), each)
  const most = samplesOf(options)
  const ofLater = toCome.high === 0 ? exactly(0) : times(toCome, atMost(mean('promptTokens'), most * longest))
  const promptTokens = add(ofWaiting, ofLater)
  const completionTokens =
    inputs.high === 0 ? exactly(0) : times(inputs, atMost(mean('completionTokens'), most * model.replyTokens))
  const isFree = model instanceof StandIn
  const price = configuredEndpoint(model, config)?.price ?? null
  const cached = sum(recorded.map(tally => tally.cachedTokens)) / Math.max(1, sum(recorded.map(figureOf.promptTokens)))
  const usdOf = (part: keyof Estimate): number | null => {
    const [prompt, completion] = [promptTokens[part], completionTokens[part]]
    if (isFree) return 0
    if (prompt === null || completion === null) return null
    return costOf(price, { promptTokens: prompt, cachedTokens: prompt * cached, completionTokens: completion })
  }
  return {
    calls,
    promptTokens,
    completionTokens,
    tokens: add(promptTokens, completionTokens),
    usd: { value: usdOf('value'), low: usdOf('low'), high: usdOf('high') },
    latencyMs: recorded.length > 0 ? times(inputs, mean('latencyMs')) : unknown,
  }
}

/** Over several stages. */
export function sumOf(all: readonly Figures[]): Figures {
  const entries = figureNames.map(name => [name, add(...all.map(figures => figures[name]))])
  return Object.fromEntries(entries) as Figures
}

function sumFigures(tallies: readonly Tally[], name: FigureName): number | null {
  return tallies.reduce<number | null>((total, tally) => {
    const figure = figureOf[name](tally)
    return total === null || figure === null ? null : total + figure
  }, 0)
}

function rest(value: number | null, taken: number): number | null {
  return value === null ? null : Math.max(0, value - taken)
}

/** Outputs that each input is asked for. */
export function samplesOf(options: Record<string, unknown> | undefined): number {
  const samples = options?.situations
  return typeof samples === 'number' ? samples : 1
}

function promptLimit(options: Record<string, unknown> | undefined): number {
  const limit = options?.maxPromptTokens
  return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY
}
