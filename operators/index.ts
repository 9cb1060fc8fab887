import { attribute } from './attribute.ts'
import { conceive } from './conceive.ts'
import { decontaminateInstruction, decontaminateReal } from './decontaminate.ts'
import { dedupeDocument, dedupeInstruction, dedupeReal } from './dedupe.ts'
import { examine } from './examine.ts'
import { extract } from './extract.ts'
import { instruct } from './instruct.ts'
import { mask } from './mask.ts'
import { moderate } from './moderate.ts'
import { retrieve } from './retrieve.ts'
import { scoreInstruction, scoreReal } from './score.ts'
import { situate } from './situate.ts'
import { write, writePlain } from './write.ts'

/** The only list of operators, in the order of the chain: command line, groups, metrics and topics derive from it. */
export const operators = {
  extract,
  'dedupe-document': dedupeDocument,
  mask,
  situate,
  instruct,
  write,
  'write-plain': writePlain,
  examine,
  decontaminate: decontaminateInstruction,
  'dedupe-instruction': dedupeInstruction,
  moderate,
  score: scoreInstruction,
  // The branch of demonstrations, which begins at people's instructions.
  'dedupe-real': dedupeReal,
  'decontaminate-real': decontaminateReal,
  'score-real': scoreReal,
  conceive,
  retrieve,
  attribute,
} as const

export type OperatorName = keyof typeof operators
