import { z } from 'zod'
import type { PiiMatch } from './mask/find-pii.ts'
import { type PiiKind, piiKinds } from './mask/pii-kinds.ts'
import type { Operator } from './operator.ts'

/** What stands for the data: forms that are set aside for examples, so that the text reads on. */
const stands: Record<PiiKind, string> = {
  email: 'email@example.com',
  iban: 'XX00 0000 0000 0000',
  card: '0000 0000 0000 0000',
  ip: '192.0.2.1',
  phone: '555-0100',
}

const options = z.strictObject({
  action: z
    .enum(['mask', 'label'])
    .default('mask')
    .describe('mask puts an example in the place of the data; label leaves the text as it is and tells what is there.'),
  kinds: z
    .array(z.enum(piiKinds))
    .default([...piiKinds])
    .describe('Kinds of data that are looked for.'),
  country: z
    .string()
    .refine(isCountry, 'is no country')
    .default('US')
    .describe('Country (ISO 3166-1) whose phone numbers may lack the international prefix.'),
})

export const mask: Operator<'document', 'masked', z.output<typeof options>> = {
  name: 'mask',
  version: 1,
  from: 'document',
  to: 'masked',
  summary: 'finds e-mail addresses, phone numbers, IP addresses, card numbers and IBANs, and masks or labels them',
  optional: 'inserted',
  reasons: [],
  options,
  async apply({ id: _id, input: _input, ...document }, { options: { action, kinds, country } }) {
    // The tables of phone numbers are loaded where they are needed only.
    const { findPii } = await import('./mask/find-pii.ts')
    const found = findPii(document.text, kinds, country)
    const text = action === 'mask' ? replace(document.text, found) : document.text
    return [{ ...document, text, pii: countsOf(found) }]
  },
}

const countries = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' })

function isCountry(code: string): boolean {
  return /^[A-Z]{2}$/.test(code) && countries.of(code) !== undefined
}

function replace(text: string, found: readonly PiiMatch[]): string {
  let replaced = ''
  let done = 0
  for (const { kind, start, end } of found) {
    replaced += text.slice(done, start) + stands[kind]
    done = end
  }
  return replaced + text.slice(done)
}

function countsOf(found: readonly PiiMatch[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of found) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
