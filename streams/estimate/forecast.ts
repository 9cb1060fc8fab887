import { configuredEndpoint } from '../models/index.ts'
import { StandIn } from '../models/stand-in.ts'
import type { Duration } from './duration.ts'
import {
  type Cost,
  countedFigures,
  type Figures,
  type ForecastOptions,
  sampledFigures,
  samplesOf,
  sumOf,
} from './figures.ts'
import { durationOf } from './run-duration.ts'
import type { Sampled } from './sample-run.ts'
import { add, type Estimate, exactly, share, sum, times, unknown } from './statistics.ts'

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
      binding.model
        ? sample
          ? sampledFigures(this.#options, [stage])
          : countedFigures(this.#options, stage, flows.comes[stage] ?? unknown)
        : null,
    )
    const withModel = figures.flatMap((own, stage) => (own ? [{ own, stage }] : []))
    const total = sample
      ? sampledFigures(
          this.#options,
          withModel.map(({ stage }) => stage),
        )
      : sumOf(withModel.map(({ own }) => own))
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
      time: durationOf(this.#options, withModel),
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

function costPart({ calls, promptTokens, completionTokens, tokens, usd }: Figures): Cost {
  return { calls, promptTokens, completionTokens, tokens, usd }
}

function paidBy(sample: readonly Sampled[]): Forecast['paid'] {
  const paid = sample.map(sampled => sampled.paid)
  const usd = paid.every(one => one.usd !== null) ? sum(paid.map(one => one.usd ?? 0)) : null
  return { calls: sum(paid.map(({ calls }) => calls)), tokens: sum(paid.map(({ tokens }) => tokens)), usd }
}

function less(part: number | null): number | null {
  return part === null ? null : 1 - part
}
