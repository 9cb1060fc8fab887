import type { Check } from '../../schemas/records.ts'

const longestEvidence = 160

export function passed(value: number | null = null, evidence: string | null = null): Check {
  return { ok: true, value, evidence: evidence && shortened(evidence) }
}

export function failed(evidence: string, value: number | null = null): Check {
  return { ok: false, value, evidence: shortened(evidence) }
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length <= longestEvidence ? line : `${line.slice(0, longestEvidence - 1).toWellFormed()}…`
}
