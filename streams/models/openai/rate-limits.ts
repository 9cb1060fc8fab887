import type { RateLimit } from '../../../operators/model.ts'
import type { AnswerHeaders } from './fetch-answer.ts'

const names = ['requests', 'tokens'] as const
const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** Reads the headers `x-ratelimit-limit-`, `-remaining-` and `-reset-` of requests and of tokens. */
export function readRateLimits(headers: AnswerHeaders): RateLimit[] {
  return names.flatMap(name => {
    const limit = wholeIn(headers.get(`x-ratelimit-limit-${name}`))
    const remaining = wholeIn(headers.get(`x-ratelimit-remaining-${name}`))
    const resetMs = durationIn(headers.get(`x-ratelimit-reset-${name}`))
    if (limit === null) return []
    return [{ name, limit, remaining: remaining ?? limit, resetMs: resetMs ?? 0 }]
  })
}

function wholeIn(header: string | null): number | null {
  return header !== null && /^\s*\d{1,15}\s*$/.test(header) ? Number(header) : null
}

/** Reads `1h2m3.5s`, `6m0s`, `120ms`, or seconds without a unit. */
function durationIn(header: string | null): number | null {
  const text = header?.trim() ?? ''
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[dhms]))+$/.test(text)) return null
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|[dhms])/g)
  return [...parts].reduce((sum, [, value, unit]) => sum + Number(value) * (unitMs[unit ?? ''] ?? 0), 0)
}
