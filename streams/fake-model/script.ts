import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { brokenShapes } from './broken-json.ts'
import { spread } from './spread.ts'

const retryAfter = z.union([z.literal('exact'), z.number().min(0), z.strictObject({ date: z.number() })], {
  error: 'expected seconds, { date: seconds from now }, or exact',
})

const share = z.number().min(0).max(1)
const plainKinds = [
  'hang',
  'hang-in-body',
  'cut',
  'reset',
  'refusal',
  'content-filter',
  'length',
  'wrong-types',
  'empty',
  'html-200',
] as const

const fault = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    share,
    status: z.int().min(300).max(599),
    message: z.string().optional(),
    retryAfter: retryAfter.optional(),
  }),
  z.strictObject({ kind: z.literal('broken-json'), share, shape: z.enum(brokenShapes).optional() }),
  z.strictObject({ kind: z.enum(plainKinds), share }),
])

const faults = z
  .array(fault)
  .default([])
  .refine(list => list.reduce((sum, { share }) => sum + share, 0) <= 1 + 1e-9, {
    error: 'the shares add up to more than 1',
  })

const rate = z.number().positive().optional()

const phase = z.strictObject({
  forSeconds: z.number().positive().optional(),
  latencyMs: spread.default(0),
  requestsPerSecond: rate,
  burst: z.number().min(1).optional(),
  requestsPerMinute: rate,
  tokensPerMinute: rate,
  maxConcurrent: z.int().min(1).optional(),
  rateLimitHeaders: z.boolean().default(false),
  retryAfter: retryAfter.optional(),
  down: z.enum(['refuse', '503']).optional(),
  replyTokens: spread.optional(),
  faults,
})

const scriptSchema = z.strictObject({
  from: z.enum(['first-call', 'start']).default('first-call'),
  apiKey: z.string().min(1).optional(),
  models: z.array(z.string().min(1)).min(1).optional(),
  tokenizer: z.enum(['characters', 'o200k']).default('characters'),
  contextTokens: z.int().positive().optional(),
  cachedTokens: z.int().min(0).default(0),
  phases: z
    .array(phase)
    .min(1)
    .default([phase.parse({})])
    .superRefine((phases, context) => {
      phases.slice(0, -1).forEach(({ forSeconds }, index) => {
        if (forSeconds !== undefined) return
        context.addIssue({ code: 'custom', path: [index, 'forSeconds'], message: 'only the last phase may be without' })
      })
    }),
})

/** What the fake model does over time. */
export type Script = z.output<typeof scriptSchema>
export type Phase = z.output<typeof phase>
export type Fault = z.output<typeof fault>
export type RetryAfter = z.output<typeof retryAfter>

/**
 * Checks a script, with defaults for what it leaves out.
 *
 * @param where - What an error calls it.
 * @throws {SituError} CONFIGURATION_INVALID, with a line for each problem.
 */
export function checkScript(value: unknown, where: string): Script {
  const parsed = scriptSchema.safeParse(value ?? {})
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => {
      const at = path.length > 0 ? `${path.join('.')}: ` : ''
      return `${where}: ${at}${message.replace(/^Invalid input: /, '')}`
    })
    throw new SituError('CONFIGURATION_INVALID', problems.join('\n'))
  }
  if (parsed.data.from === 'first-call' && parsed.data.phases[0]?.down === 'refuse') {
    const problem = 'no call can come while it refuses connections: set from: start'
    throw new SituError('CONFIGURATION_INVALID', `${where}: phases.0.down: ${problem}`)
  }
  return parsed.data
}

/** @throws {SituError} INPUT_UNREADABLE, CONFIGURATION_INVALID */
export function readScript(path: string): Script {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SituError('INPUT_UNREADABLE', `script ${path}: ${messageOf(cause)}`, { cause })
  }
  return parseScript(text, path)
}

/** Reads YAML or JSON, as `checkScript`. */
export function parseScript(text: string, where: string): Script {
  try {
    return checkScript(parseYaml(text), where)
  } catch (cause) {
    if (cause instanceof SituError) throw cause
    throw new SituError('CONFIGURATION_INVALID', `${where}: ${messageOf(cause).split('\n')[0]}`, { cause })
  }
}
