import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import type { Config } from './config.ts'

/** How instructions are made of documents: flags for what the configuration says under the operators. */
export const writingOptions = {
  situations: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Situations made of each document: the option of situate, write and write-plain.'),
  oneCall: z
    .boolean()
    .default(false)
    .describe('Settle the situation and write the instruction in one call: write in place of situate and instruct.'),
  noSituation: z
    .boolean()
    .default(false)
    .describe('Write the instruction from the document alone: write-plain in place of situate and instruct.'),
}

interface Writing {
  situations?: number | undefined
  oneCall?: boolean
  noSituation?: boolean
}

const fromDocuments = ['situate', 'write', 'write-plain']

/** The configuration with the flags in it. @throws {SituError} USAGE for two that exclude each other. */
export function withWriting(config: Config, { situations, oneCall = false, noSituation = false }: Writing): Config {
  if (oneCall && noSituation) throw new SituError('USAGE', '--one-call and --no-situation exclude each other')
  const enabled = oneCall ? 'write' : noSituation ? 'write-plain' : null
  if (situations === undefined && enabled === null) return config
  // One is the same as none: ids tell what was asked for.
  const own = situations === undefined ? {} : { situations: situations === 1 ? undefined : situations }
  const operators = Object.entries(config.operators).map(([name, operator]) => {
    const options = fromDocuments.includes(name) ? { ...operator.options, ...own } : operator.options
    return [name, { ...operator, options, enabled: operator.enabled || name === enabled }] as const
  })
  return Object.freeze({ ...config, operators: Object.fromEntries(operators) })
}
