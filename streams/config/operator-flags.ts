import { z } from 'zod'
import { criteria } from '../../operators/score.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Config } from './config.ts'

type Criterion = (typeof criteria)[number]

const criterion = z.custom<Criterion>(word => criteria.some(name => name === word), {
  error: ({ input }) => `${input} is no criterion: there are ${criteria.join(', ')}`,
})

const score = z.int().min(0).max(criteria.length).optional()

/** Flags for what the configuration says under the operators. */
export const operatorFlags = {
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
  minimumScore: score.describe('Puts score in the chain: criteria, of seven, that an instruction must meet.'),
  require: z
    .array(z.string())
    .optional()
    .transform(words => words?.flatMap(word => word.split(',')).map(word => word.trim()))
    .pipe(z.array(criterion).optional())
    .describe(`Puts score in the chain: criteria that must be met, with commas: ${criteria.join(', ')}.`),
  minimumRealScore: score.describe("The same as --minimum-score for people's instructions: score-real."),
}

export type OperatorFlags = { [Name in keyof typeof operatorFlags]?: z.output<(typeof operatorFlags)[Name]> }

/** What a flag says of operators. */
interface Said {
  names: readonly string[]
  options: Readonly<Record<string, unknown>>
  /** Puts them in the chain. */
  enabled: boolean
}

/** The configuration with the flags in it. @throws {SituError} USAGE for two that exclude each other. */
export function withOperatorFlags(config: Config, flags: OperatorFlags): Config {
  if (flags.oneCall && flags.noSituation) {
    throw new SituError('USAGE', '--one-call and --no-situation exclude each other')
  }
  const said = whatIsSaid(flags)
  if (said.length === 0) return config
  const operators = Object.entries(config.operators).map(([name, operator]) => {
    const own = said.filter(({ names }) => names.includes(name))
    const options = Object.assign({}, operator.options, ...own.map(one => one.options))
    return [name, { ...operator, options, enabled: operator.enabled || own.some(({ enabled }) => enabled) }] as const
  })
  return Object.freeze({ ...config, operators: Object.fromEntries(operators) })
}

function whatIsSaid({
  situations,
  oneCall,
  noSituation,
  minimumScore,
  require,
  minimumRealScore,
}: OperatorFlags): Said[] {
  const said: Said[] = []
  if (situations !== undefined) {
    // One is the same as none: ids tell what was asked for.
    const options = { situations: situations === 1 ? undefined : situations }
    said.push({ names: ['situate', 'write', 'write-plain'], options, enabled: false })
  }
  if (oneCall) said.push({ names: ['write'], options: {}, enabled: true })
  if (noSituation) said.push({ names: ['write-plain'], options: {}, enabled: true })
  if (minimumScore !== undefined) said.push({ names: ['score'], options: { minimumScore }, enabled: true })
  if (require !== undefined) said.push({ names: ['score'], options: { require }, enabled: true })
  if (minimumRealScore !== undefined) {
    said.push({ names: ['score-real'], options: { minimumScore: minimumRealScore }, enabled: true })
  }
  return said
}
