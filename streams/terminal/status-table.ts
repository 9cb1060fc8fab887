import type { Counters } from '../../schemas/records.ts'
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

/** What `situ topics` prints. */
export function renderStatus({ topics, operators, conservation, differences, notes }: Status): string {
  const rows = Object.entries(topics).map(([name, { records, bytes, newest }]) => [
    name,
    records ?? '-',
    bytes ?? '-',
    newest ?? '-',
  ])
  const conserved = [`conservation ${conservation}`, ...differences, ...notes].join('\n')
  return [table([['topic', 'records', 'bytes', 'newest'], ...rows]), renderStages(operators), conserved].join('\n\n')
}
