import { table } from '../terminal/output.ts'
import type { Cost } from './figures.ts'
import type { Forecast } from './forecast.ts'
import type { Estimate } from './statistics.ts'

/** What `situ estimate` prints: a row a stage, the total, the time and what to know of them. */
export function renderForecast({ stages, total, rows, time, paid, sampled, method, notes }: Forecast): string {
  const heads = ['operator', 'inputs', 'dropped or failed', 'calls', 'prompt tokens', 'reply tokens', 'US dollars']
  const body = Object.entries(stages).map(([name, { inputs, dropped, droppedBy, cost }]) => [
    name,
    range(inputs, whole),
    `${range(dropped, whole)}${droppedBy === 'counted' ? '' : ` (${droppedBy})`}`,
    ...(cost ? costCells(cost) : ['', '', '', '']),
  ])
  const lines = [
    table([heads, ...body, ['total', '', '', ...costCells(total)]]),
    '',
    `rows at the end: ${range(rows, whole)}`,
    `time of one worker: ${range(time.seconds, duration)}${time.boundBy ? `, by ${time.boundBy}` : ''}`,
  ]
  if (method === 'sample') {
    const usd = paid.usd === null ? 'US dollars unknown' : money(paid.usd)
    lines.push(
      `${sampled} inputs were run for real: ${paid.calls} calls paid now, ${whole(paid.tokens)} tokens, ${usd}`,
    )
    lines.push('They are in the sums; their replies are kept, so that the run does not pay them again.')
  }
  lines.push('In brackets: 90 % intervals.', ...notes.map(note => `Note: ${note}.`))
  return lines.join('\n')
}

function costCells({ calls, promptTokens, completionTokens, usd }: Cost): string[] {
  return [range(calls, whole), range(promptTokens, whole), range(completionTokens, whole), range(usd, money)]
}

/** Such as `1,200 [1,100 to 1,300]`, `at most 900` or `unknown`. */
function range({ value, low, high }: Estimate, show: (value: number) => string): string {
  if (value === null) return high === null ? 'unknown' : `at most ${show(high)}`
  if (low === null || high === null) return `${show(value)} [unknown]`
  const shown = [value, low, high].map(show)
  return shown[1] === shown[2] ? (shown[0] ?? '') : `${shown[0]} [${shown[1]} to ${shown[2]}]`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** Cents, and more digits of small sums. */
export function money(value: number): string {
  return `$${value.toFixed(value === 0 || value >= 1 ? 2 : 4)}`
}

/** Such as `40 s`, `14 min` or `3.5 h`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`
  return `${(seconds / 3_600).toFixed(1)} h`
}
