import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { examine, examineText } from '../../../operators/examine.ts'
import type { Checks } from '../../../schemas/records.ts'

const labelSchema = z.object({
  id: z.string(),
  text: z.string(),
  language: z.string(),
  document: z.object({ title: z.string(), url: z.string().nullable(), text: z.string() }).nullable(),
  bad: z.array(z.string()),
})

export type Label = z.output<typeof labelSchema>

/** The labelled instructions of tests/fixtures/examine: `tune` or `aside`. */
export function readLabels(name: 'tune' | 'aside'): Label[] {
  const content = readFileSync(join(import.meta.dirname, `../../fixtures/examine/${name}.jsonl`), 'utf8')
  return content
    .trimEnd()
    .split('\n')
    .map(line => labelSchema.parse(JSON.parse(line)))
}

export async function examineLabel({ text, language, document }: Label): Promise<Checks> {
  const excerpt = { title: document?.title ?? null, text: document?.text ?? '', language }
  return examineText(text, excerpt, examine.options.parse({}))
}

export interface Score {
  bad: number
  found: number
  right: number
}

/** Bad ones, those found, and those found rightly: by check, and as `any` for the instruction as a whole. */
export async function scoreOf(labels: readonly Label[]): Promise<Map<string, Score>> {
  const scores = new Map<string, Score>()
  for (const label of labels) {
    const checks = Object.entries(await examineLabel(label))
    for (const [name, { ok }] of checks) count(scores, name, label.bad.includes(name), !ok)
    count(
      scores,
      'any',
      label.bad.length > 0,
      checks.some(([, { ok }]) => !ok),
    )
  }
  return scores
}

function count(scores: Map<string, Score>, name: string, isBad: boolean, isFound: boolean): void {
  const { bad, found, right } = scores.get(name) ?? { bad: 0, found: 0, right: 0 }
  scores.set(name, {
    bad: bad + Number(isBad),
    found: found + Number(isFound),
    right: right + Number(isBad && isFound),
  })
}
