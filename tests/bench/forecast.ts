/**
 * What `situ estimate` says against what a full run takes, over many seeds of the sample. One full run tells the truth
 * for all of them: the fake model gives the same reply to the same call.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Counters } from '../../schemas/records.ts'
import type { Cost } from '../../streams/estimate/figures.ts'
import type { Forecast } from '../../streams/estimate/forecast.ts'
import type { Estimate } from '../../streams/estimate/statistics.ts'
import { FakeModelProcess } from '../support/fake-model.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'
import { withModels } from '../support/model-runs.ts'
import { mustSitu, removeFolder, temporaryFolder } from '../support/situ.ts'
import { folderGround, ingestDocuments } from '../support/workers.ts'

const price = { input: 1, output: 5 }
const script = {
  phases: [{ latencyMs: { median: 500, p99: 1_500 }, replyTokens: { median: 400, p99: 1_400 } }],
}

interface Truth {
  tokens: number
  usd: number
  calls: number
  rows: number
  seconds: number
}

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 200 : 2_000))
  const seeds = Number(options.values.seeds ?? (options.short ? 5 : 20))
  const sample = options.values.sample ?? '20'
  const folder = temporaryFolder()
  const fake = await FakeModelProcess.start(folder, { tokenizer: options.values.tokenizer ?? 'characters', ...script })
  try {
    const ground = folderGround(join(folder, 'data'))
    await ingestDocuments(ground, folder, documents)
    const full = folderGround(join(folder, 'full'))
    cpSync(join(folder, 'data'), join(folder, 'full'), { recursive: true })
    const model = { fake: { baseUrl: fake.url, price, parameters: { max_tokens: 8_192 } } }
    const truth = await runAll(withModels(full, folder, model))
    const flags = withModels(ground, folder, model)
    const forecasts: Forecast[] = []
    for (let seed = 1; seed <= seeds; seed++) {
      // Each pays its own sample: none knows what an earlier one was told.
      for (const end of ['', '-wal', '-shm']) rmSync(join(folder, 'data', `spending.db${end}`), { force: true })
      const { stdout } = await mustSitu(['estimate', '--json', '--seed', String(seed), '--sample', sample, ...flags])
      const forecast: Forecast = JSON.parse(stdout)
      forecasts.push(forecast)
      const { total, time } = forecast
      const errors = [off(total.tokens, truth.tokens), off(total.usd, truth.usd), off(time.seconds, truth.seconds)]
      console.error(
        `seed ${seed}: tokens, money, time off by ${errors.map(error => `${(100 * error).toFixed(1)} %`).join(', ')}`,
      )
    }
    report('forecast', [{ name: 'documents', value: documents }, ...figuresOf(forecasts, truth)], options)
  } finally {
    await fake.stop()
    removeFolder(folder)
  }
}

async function runAll(flags: readonly string[]): Promise<Truth> {
  const { stdout, seconds } = await mustSitu(['run', '--json', ...flags])
  const idle = await mustSitu(['run', '--json', ...flags])
  const { operators }: { operators: Record<string, Counters> } = JSON.parse(stdout)
  const spent = Object.values(operators).flatMap(counters => counters.spent)
  const total = (of: (one: (typeof spent)[number]) => number) => spent.reduce((sum, one) => sum + of(one), 0)
  return {
    tokens: total(one => one.promptTokens + one.completionTokens),
    usd: total(one => one.costUsd),
    calls: total(one => one.calls),
    rows: operators['dedupe-instruction']?.out ?? 0,
    seconds: seconds - idle.seconds,
  }
}

function figuresOf(forecasts: readonly Forecast[], truth: Truth): Figure[] {
  const least = Math.floor(0.9 * forecasts.length)
  const cost = (name: keyof Cost) => forecasts.map(({ total }) => total[name])
  return [
    ...errorFigures('tokens', cost('tokens'), truth.tokens, { most: 0.05 }, least),
    ...errorFigures('money', cost('usd'), truth.usd, { most: 0.05 }, least),
    ...errorFigures('calls', cost('calls'), truth.calls, { most: 0.05 }, 0),
    ...errorFigures(
      'rows',
      forecasts.map(({ rows }) => rows),
      truth.rows,
      { most: 0.1 },
      0,
    ),
    ...errorFigures(
      'time',
      forecasts.map(({ time }) => time.seconds),
      truth.seconds,
      { most: 0.2 },
      0,
    ),
  ]
}

function errorFigures(
  name: string,
  estimates: readonly Estimate[],
  truth: number,
  goal: { most: number },
  least: number,
): Figure[] {
  const errors = estimates.map(estimate => Math.abs(off(estimate, truth)))
  const inside = estimates.filter(({ low, high }) => (low ?? truth) <= truth && truth <= (high ?? truth)).length
  return [
    { name: `${name}, true`, value: truth },
    { name: `${name}, median error`, value: median(errors), goal },
    { name: `${name}, largest error`, value: Math.max(...errors) },
    { name: `${name}, seeds within the interval`, value: inside, ...(least > 0 && { goal: { least } }) },
  ]
}

/** Share by which an estimate is too high. */
function off({ value }: Estimate, truth: number): number {
  return (value ?? Number.NaN) / truth - 1
}
