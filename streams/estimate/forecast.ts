import type { Config } from '../config/config.ts'
import { configuredEndpoint } from '../models/index.ts'
import { StandIn } from '../models/stand-in.ts'
import { costOf } from '../spending/price.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import { type Duration, estimateDuration } from './duration.ts'
import { estimateLatency } from './latency.ts'
import type { RecordedFlow } from './recorded.ts'
import { endpointKey, type Sampled, type SampleRun, type Tally } from './sample-run.ts'
import {
  add,
  addTotals,
  type Estimate,
  estimateTotal,
  exactly,
  intervalOf,
  meanOfMore,
  share,
  times,
  unknown,
} from './statistics.ts'
import type { Waiting } from './waiting.ts'

/** What model calls take. */
export interface Cost {
  calls: Estimate
  promptTokens: Estimate
  completionTokens: Estimate
  tokens: Estimate
  usd: Estimate
}

export interface StageForecast {
  /** Model as sent; null for a stage without one. */
  model: string | null
  inputs: Estimate
  /** Dropped or failed. */
  dropped: Estimate
  /** Where the share that is dropped comes from. */
  droppedBy: 'counted' | 'recorded' | 'sample' | 'unknown'
  cost: Cost | null
}

/** What `situ estimate --json` prints. */
export interface Forecast {
  method: 'sample' | 'no-call'
  /** Inputs that were run for real. */
  sampled: number
  stages: Record<string, StageForecast>
  /** Of the whole run; what the sample has paid is in it, and will not be paid again. */
  total: Cost
  /** Records at the end of the chain. */
  rows: Estimate
  time: Duration
  /** What the sample has paid now. */
  paid: { calls: number; tokens: number; usd: number | null }
  notes: string[]
}

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

type Figures = Cost & { latencyMs: Estimate }

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
/** Recorded inputs from which on their share counts. */
const leastRecorded = 20

/** Puts together what is known of a run that has not been made. */
export class Forecaster {
  readonly #options: ForecastOptions

  constructor(options: ForecastOptions) {
    this.#options = options
  }

  make(): Forecast {
    const { bindings, sample, waiting } = this.#options
    const flows = this.#flows()
    const figures = bindings.map((binding, stage) =>
      binding.model ? (sample ? this.#sampled([stage]) : this.#unsampled(stage, flows.comes[stage] ?? unknown)) : null,
    )
    const withModel = figures.flatMap((own, stage) => (own ? [{ own, stage }] : []))
    const total = sample ? this.#sampled(withModel.map(({ stage }) => stage)) : sumOf(withModel.map(({ own }) => own))
    const stages = bindings.map(({ stage, model }, number): [string, StageForecast] => {
      const [own, flow] = [figures[number], flows.stages[number]]
      if (!flow) throw new Error(`no flow of ${stage.name}`)
      return [stage.name, { model: model?.model ?? null, ...flow, cost: own ? costPart(own) : null }]
    })
    return {
      method: sample ? 'sample' : 'no-call',
      sampled: sample?.length ?? 0,
      stages: Object.fromEntries(stages),
      total: costPart(total),
      rows: flows.rows,
      time: this.#duration(withModel),
      paid: paidBy(sample ?? []),
      notes: [
        ...this.#notes(figures),
        ...(waiting.isWhole
          ? []
          : [`only ${waiting.read} waiting inputs were counted, the others are taken to be like them`]),
      ],
    }
  }

  /** Inputs and drops from stage to stage. `comes`: inputs whose outcome takes a call, or that come of such ones. */
  #flows() {
    const { bindings, waiting } = this.#options
    const comes = bindings.map((_, stage) => exactly(waiting.groups.find(group => group.stage === stage)?.size ?? 0))
    let rows = exactly(waiting.rows)
    const stages = bindings.map(({ stage, options }, number) => {
      const inputs = comes[number] ?? exactly(0)
      const { passed, by } = this.#shareOf(number)
      const dropped = times(inputs, { value: less(passed.value), low: less(passed.high), high: less(passed.low) })
      const passedOn = times(inputs, passed)
      const made = times(passedOn, exactly(samplesOf(options)))
      const next = bindings.findIndex(other => other.stage.input === stage.output)
      if (next >= 0) comes[next] = add(comes[next] ?? exactly(0), made)
      else rows = add(rows, made)
      const certain = waiting.flows[number] ?? { inputs: 0, left: 0, passed: 0 }
      const known = certain.left + certain.passed
      const droppedBy: StageForecast['droppedBy'] = inputs.high === 0 ? 'counted' : by
      return { inputs: add(exactly(known), inputs), dropped: add(exactly(certain.left), dropped), droppedBy }
    })
    return { comes, stages, rows }
  }

  /** Share of the inputs of a stage that pass. */
  #shareOf(stage: number): { passed: Estimate; by: 'recorded' | 'sample' | 'unknown' } {
    const { sample, recorded, waiting } = this.#options
    const flows = (sample ?? []).flatMap(({ flows }) => flows.get(stage) ?? [])
    const inputs = flows.reduce((sum, flow) => sum + flow.inputs, 0)
    const passed = flows.reduce((sum, flow) => sum + flow.passed, 0)
    const before = recorded[stage]
    const isWhole = sample !== null && waiting.groups.every(({ size, picked }) => picked.length >= size)
    if (isWhole && inputs > 0) return { passed: exactly(passed / inputs), by: 'sample' }
    if (before && before.inputs >= leastRecorded) return { passed: share(before.passed, before.inputs), by: 'recorded' }
    if (inputs > 0) return { passed: share(passed, inputs), by: 'sample' }
    return { passed: { value: 1, low: 0, high: 1 }, by: 'unknown' }
  }

  /** Totals over some stages, by the regression of what the sampled inputs took on the tokens of their first prompt. */
  #sampled(stages: readonly number[]): Figures {
    const { waiting, sample } = this.#options
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
  #unsampled(stage: number, inputs: Estimate): Figures {
    const { bindings, waiting, tallies, config } = this.#options
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
    const cached =
      sum(recorded.map(tally => tally.cachedTokens)) / Math.max(1, sum(recorded.map(figureOf.promptTokens)))
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

  #duration(withModel: readonly { own: Figures; stage: number }[]): Duration {
    const { bindings, config, told, waiting } = this.#options
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
        { stage: name, endpoint, ...own, latencyMs: this.#latencyOf(stage, own), slowMs: this.#slowCallMs(stage) },
      ]
    })
    const { concurrency } = config.settings
    return estimateDuration({ workloads, concurrency, limits, freeSeconds: waiting.freeSeconds })
  }

  /** Of all calls of a stage; by what the stages of its endpoint took together, unless all of its own were made. */
  #latencyOf(stage: number, own: Figures): Estimate {
    const { bindings, sample } = this.#options
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
  #slowCallMs(stage: number): number {
    const { sample, tallies } = this.#options
    const own = sample ? sample.flatMap(sampled => sampled.tallies.get(stage) ?? []) : (tallies.get(stage) ?? [])
    const latencies = own.map(({ latencyMs, calls }) => latencyMs / Math.max(1, calls)).sort((a, b) => a - b)
    return latencies[Math.ceil(0.95 * latencies.length) - 1] ?? 0
  }

  #notes(figures: readonly (Figures | null)[]): string[] {
    const { bindings, config, sample, tallies } = this.#options
    const notes = new Set<string>()
    for (const [stage, { model, stage: own }] of bindings.entries()) {
      if (!model || figures[stage]?.calls.high === 0) continue
      if (!(model instanceof StandIn) && !configuredEndpoint(model, config)?.price) {
        notes.add(`the price of ${model.model} is not known: models.NAME.price of the configuration tells it`)
      }
      if (sample || (tallies.get(stage)?.length ?? 0) > 0) continue
      notes.add(
        `no replies of ${own.name} with this model and prompt are recorded: "at most" is by its limits, one call each`,
      )
    }
    if (bindings.some(({ stage }) => stage.operator.to === 'deduped')) {
      notes.add('near-duplicates grow with the number of records: a small sample shows few of them')
    }
    return [...notes]
  }
}

function sumFigures(tallies: readonly Tally[], name: FigureName): number | null {
  return tallies.reduce<number | null>((total, tally) => {
    const figure = figureOf[name](tally)
    return total === null || figure === null ? null : total + figure
  }, 0)
}

function sumOf(all: readonly Figures[]): Figures {
  const entries = figureNames.map(name => [name, add(...all.map(figures => figures[name]))])
  return Object.fromEntries(entries) as Figures
}

function costPart({ calls, promptTokens, completionTokens, tokens, usd }: Figures): Cost {
  return { calls, promptTokens, completionTokens, tokens, usd }
}

function paidBy(sample: readonly Sampled[]): Forecast['paid'] {
  const paid = sample.map(sampled => sampled.paid)
  const usd = paid.every(one => one.usd !== null) ? sum(paid.map(one => one.usd ?? 0)) : null
  return { calls: sum(paid.map(({ calls }) => calls)), tokens: sum(paid.map(({ tokens }) => tokens)), usd }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function less(part: number | null): number | null {
  return part === null ? null : 1 - part
}

function rest(value: number | null, taken: number): number | null {
  return value === null ? null : Math.max(0, value - taken)
}

/** Outputs that each input is asked for. */
function samplesOf(options: Record<string, unknown> | undefined): number {
  const samples = options?.situations
  return typeof samples === 'number' ? samples : 1
}

function promptLimit(options: Record<string, unknown> | undefined): number {
  const limit = options?.maxPromptTokens
  return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY
}
