import { decontaminateInstruction } from './decontaminate.ts'
import { dedupeDocument, dedupeInstruction } from './dedupe.ts'
import { examine } from './examine.ts'
import { extract } from './extract.ts'
import { instruct } from './instruct.ts'
import { mask } from './mask.ts'
import { situate } from './situate.ts'

/** The only list of operators, in the order of the chain: command line, groups, metrics and topics derive from it. */
export const operators = {
  extract,
  'dedupe-document': dedupeDocument,
  mask,
  situate,
  instruct,
  examine,
  decontaminate: decontaminateInstruction,
  'dedupe-instruction': dedupeInstruction,
} as const

export type OperatorName = keyof typeof operators
