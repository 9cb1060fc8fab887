import type { Counters, Spent } from '../../schemas/records.ts'
import type { StageStatus, Status } from '../inspect/status.ts'
import { table } from './output.ts'

/** The counters of stages, a row each. */
export function renderStages(stages: Readonly<Record<string, Counters & Partial<StageStatus>>>): string {
  const withLag = Object.values(stages).some(stage => stage.lag !== undefined)
  const heads = [
    'operator',
    'in',
    'done',
    'out',
    'dropped',
    'failed',
    'retried',
    'in flight',
    ...(withLag ? ['lag', 'per second', 'commits', 'taken'] : []),
  ]
  const rows = Object.entries(stages).map(([name, stage]) => [
    name,
    stage.in,
    stage.done,
    stage.out,
    reasons(stage.dropped),
    reasons(stage.failed),
    stage.retried,
    stage.inFlight,
    ...(withLag ? [stage.lag, stage.recordsPerSecond, stage.commits, stage.taken].map(value => value ?? 0) : []),
  ])
  return table([heads, ...rows])
}

function reasons(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([reason, count]) => `${count} ${reason}`)
  return parts.join(', ') || '0'
}

/** What model calls took, a row for each operator, model and prompt; empty where there were none. */
export function renderSpent(stages: Readonly<Record<string, Counters>>): string {
  const heads = [
    'operator',
    'model',
    'prompt',
    'inputs',
    'calls',
    'from cache',
    'prompt tokens',
    'of them cached',
    'reply tokens',
    'USD',
    'USD an input',
  ]
  const rows = Object.entries(stages).flatMap(([name, { spent }]) =>
    spent.map(own => [
      name,
      own.model,
      own.prompt?.slice(0, 8) ?? '-',
      own.inputs,
      own.calls,
      own.fromCache,
      own.promptTokens,
      own.cachedTokens,
      own.completionTokens,
      usd(own, own.costUsd),
      usd(own, own.costUsd / own.inputs),
    ]),
  )
  return rows.length === 0 ? '' : table([heads, ...rows])
}

/** Where the price of a call is not known, the sum is more than what is known of it. */
function usd({ unpriced, calls }: Spent, value: number): string {
  if (unpriced === 0) return value.toFixed(4)
  return unpriced >= calls ? 'unknown' : `over ${value.toFixed(4)}`
}

/** What all model calls cost for each row that dedupe-instruction kept; null where one is not known. */
export function usdPerRow(stages: Readonly<Record<string, Counters>>): number | null {
  const spent = Object.values(stages).flatMap(stage => stage.spent)
  const rows = stages['dedupe-instruction']?.out ?? 0
  if (rows === 0 || spent.length === 0 || spent.some(({ unpriced }) => unpriced > 0)) return null
  return spent.reduce((sum, { costUsd }) => sum + costUsd, 0) / rows
}

function renderMoney(stages: Readonly<Record<string, StageStatus>>): string[] {
  const spent = renderSpent(stages)
  if (spent === '') return []
  const perRow = usdPerRow(stages)
  return [spent, ...(perRow === null ? [] : [`${perRow.toFixed(4)} USD for each row of deduped`])]
}

function renderWaiting(stages: Readonly<Record<string, StageStatus>>): string[] {
  const lines = Object.entries(stages).flatMap(([name, { waiting }]) =>
    waiting ? `${name} waits for: ${waiting.cause} (since ${waiting.since})` : [],
  )
  return lines.length === 0 ? [] : [lines.join('\n')]
}

/** How many instructions begin alike, of each stage that makes some. */
function renderOpenings(stages: Readonly<Record<string, StageStatus>>): string[] {
  const lines = Object.entries(stages).flatMap(([name, { opening }]) =>
    opening
      ? `${name}: ${opening.share.toFixed(3)} of the last ${opening.outputs} outputs begin with "${opening.text}"`
      : [],
  )
  return lines.length === 0 ? [] : [lines.join('\n')]
}

/** What `situ topics` prints. */
export function renderStatus({ topics, operators, conservation, differences, notes }: Status): string {
  const rows = Object.entries(topics).map(([name, { records, bytes, newest }]) => [
    name,
    records ?? '-',
    bytes ?? '-',
    newest ?? '-',
  ])
  const conserved = [`conservation ${conservation}`, ...differences, ...notes].join('\n')
  return [
    table([['topic', 'records', 'bytes', 'newest'], ...rows]),
    renderStages(operators),
    ...renderMoney(operators),
    ...renderWaiting(operators),
    ...renderOpenings(operators),
    conserved,
  ].join('\n\n')
}
