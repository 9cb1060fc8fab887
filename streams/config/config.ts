import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { type OperatorName, operators } from '../../operators/index.ts'
import { modelKinds } from '../../operators/model.ts'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { type SearchSettings, searchSettings } from '../searches/settings.ts'
import { closestName } from '../terminal/closest-name.ts'
import {
  describeOption,
  type OptionSource,
  type OptionTable,
  type OptionValues,
  resolveOptions,
  unknownKeys,
} from '../terminal/options.ts'
import { kafkaProblems, kafkaSettings, secretVariables } from './kafka-settings.ts'
import { type Recipe, recipeNames, recipes } from './recipes.ts'
import { spendingSettings } from './spending-settings.ts'

const whole = (minimum: number, maximum: number) => z.int().min(minimum).max(maximum)

/**
 * The settings: each is a flag of the commands that use it, a variable `SITU_*` and a key of the configuration file.
 * Help pages and the table of the README are made from this list.
 */
export const settings = {
  data: z.string().min(1).default('./situ-data').describe('Data folder.'),
  config: z.string().min(1).default('situ.config.yaml').describe('Configuration file; the default may be missing.'),
  json: z.boolean().default(false).describe('Print JSON to stdout.'),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('What is logged to stderr.'),
  model: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Model: a name from the configuration, stand-in, or with OPENAI_BASE_URL or OPENAI_API_KEY any model of that endpoint.',
    ),
  recipe: z
    .enum(recipeNames)
    .optional()
    .describe('Optional operators and options of a chain for a purpose; situ recipes lists them.'),
  concurrency: whole(1, 1024).default(16).describe('Records in flight for each operator.').meta({ unit: 'records' }),
  ordered: z.boolean().default(false).describe('Write outputs in the order of their inputs.'),
  strict: z.boolean().default(false).describe('Exit 1 where an input ended as a dead letter.'),
  drainSeconds: whole(0, 86_400)
    .default(30)
    .describe('How long a stop waits for calls in flight.')
    .meta({ unit: 'seconds' }),
  recordTimeoutSeconds: whole(1, 86_400)
    .default(3600)
    .describe('How long one record may take, retries included.')
    .meta({ unit: 'seconds' }),
  modelTimeoutSeconds: whole(1, 86_400)
    .default(600)
    .describe('How long one model call may take.')
    .meta({ unit: 'seconds' }),
  maxAttempts: whole(1, 100).default(5).describe('Tries of a record whose error may pass.').meta({ unit: 'tries' }),
  backoffMs: whole(1, 600_000)
    .default(500)
    .describe('Wait before the second try; doubled for each further one.')
    .meta({ unit: 'ms' }),
  maxRecordBytes: whole(1024, 67_108_864)
    .default(16_777_216)
    .describe('Largest record that is read.')
    .meta({ unit: 'bytes' }),
  partitions: whole(1, 1024).default(1).describe('Partitions of topics that are made.').meta({ unit: 'partitions' }),
  retentionDays: z
    .number()
    .positive()
    .optional()
    .describe('Delete worked records older than this; never those that wait.')
    .meta({ unit: 'days' }),
  retentionBytes: whole(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Delete the oldest worked records of a topic above this size.')
    .meta({ unit: 'bytes a topic' }),
  benchmarks: z
    .array(z.string())
    .default([])
    .transform(words => words.flatMap(word => word.split(',')).map(word => word.trim()))
    .pipe(z.array(z.string().min(1)))
    .describe('Benchmark prompts that no instruction may hold: JSONL with id and text, several files with commas.'),
  demonstrations: z
    .string()
    .regex(/^(pinned|live|built-in|[0-9a-f]{32})$/, 'expected pinned, live, built-in or the hash of a snapshot')
    .default('pinned')
    .describe(
      'Demonstrations to draw from: pinned (the last snapshot of situ demonstrations, else built-in), live (a snapshot made at the start), built-in, or the hash of a snapshot.',
    ),
  embedder: z
    .string()
    .min(1)
    .default('hashed-ngrams')
    .describe('What compares texts by meaning: hashed-ngrams (built in), or a model that has embeddings.'),
  standInLatencyMs: whole(0, 3_600_000)
    .default(0)
    .describe('Makes the stand-in slow, for rehearsals.')
    .meta({ unit: 'ms' }),
  metricsPort: whole(0, 65_535)
    .optional()
    .describe('Port of /metrics, /live and /ready while situ run works; 0 takes a free one.'),
  metricsHost: z.string().min(1).default('127.0.0.1').describe('Address that the metrics are served at.'),
  ...spendingSettings,
  ...kafkaSettings,
} satisfies OptionTable

export type SettingName = keyof typeof settings

/** Keys of a model, under `models.NAME` of the configuration file. */
export const endpointSchema = z.strictObject({
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Base URL; default: that of the openai package.'),
  apiKeyVariable: z.string().min(1).default('OPENAI_API_KEY').describe('Environment variable that holds the key.'),
  model: z.string().min(1).describe('Model as sent.'),
  kind: z
    .enum(modelKinds)
    .default('chat')
    .describe('How it is asked: by prompts, or as a guard or moderation model, which gets a text alone.'),
  parameters: z.record(z.string(), z.unknown()).default({}).describe('Sent with each call as they are.'),
  contextTokens: whole(256, 100_000_000).default(32_768).describe('Tokens that prompt and reply may have together.'),
  structuredOutput: z
    .enum(['json_schema', 'json_object', 'none'])
    .default('json_schema')
    .describe('How replies are asked for at first; where the endpoint refuses it, in the next way.'),
  price: z
    .strictObject({
      input: z.number().min(0),
      cachedInput: z.number().min(0).optional(),
      output: z.number().min(0),
    })
    .optional()
    .describe('US dollars for a million tokens; cachedInput for those of the prefix cache, default: input.'),
  requestsPerMinute: whole(1, 100_000_000).optional().describe('Limit of the endpoint, shared by all workers.'),
  tokensPerMinute: whole(1, 1_000_000_000_000).optional().describe('Limit of the endpoint, shared by all workers.'),
  failover: z.string().min(1).optional().describe('Name of the model that steps in while the endpoint is down.'),
})

/** A named model of the configuration. */
export type Endpoint = z.output<typeof endpointSchema>

/** What the configuration file may say of one operator, beside its own options. */
export const operatorKeys = {
  model: z.string().min(1).optional().describe('Its model: a name from the configuration, or stand-in.'),
  prompt: z.string().min(1).optional().describe('File with another prompt.'),
  cache: z.boolean().default(true).describe('Keep paid replies, and serve them again.'),
  enabled: z.boolean().optional().describe('Whether an optional operator is in the chain.'),
}

export interface OperatorConfig {
  model: string | undefined
  /** Prompt file. */
  prompt: string | undefined
  /** Whether paid replies are kept and served again. */
  cache: boolean
  /** Whether an optional operator is in the chain; the others always are. */
  enabled: boolean
  /** The operator's own options, checked, with defaults. */
  options: Record<string, unknown>
}

/** Everything that was configured, checked and frozen. */
export interface Config {
  readonly settings: OptionValues<typeof settings>
  readonly models: Readonly<Record<string, Endpoint>>
  readonly operators: Readonly<Record<string, OperatorConfig>>
  /** What operators look for documents with. */
  readonly search: SearchSettings
  readonly environment: NodeJS.ProcessEnv
}

/** Raw words of the command line, by option name. */
export type Flags = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/**
 * Reads flags, environment and configuration file, in this order of precedence.
 *
 * @param own - Settings that nothing but a flag changes, with their values otherwise (null: not set).
 * @returns What could be read, with defaults for the rest, and a line for every problem of all three.
 * @throws {SituError} INPUT_UNREADABLE for a named file that can't be read.
 */
export function readConfig(
  flags: Flags,
  environment: NodeJS.ProcessEnv,
  own: { readonly [Name in SettingName]?: string | null } = {},
): { config: Config; problems: string[] } {
  const problems: string[] = []
  const fromFlags: OptionSource = { label: ({ flag }) => flag, value: ({ name }) => flags[name] }
  const fromEnvironment: OptionSource = {
    label: ({ variable }) => variable,
    value: ({ variable }) => environment[variable],
  }
  const { config: path } = resolveOptions({ config: settings.config }, [fromFlags, fromEnvironment], problems)
  const isNamed = problems.length === 0 && (flags.config !== undefined || environment.SITU_CONFIG !== undefined)
  const file = readConfigFile(path, isNamed, problems)
  const fromFile: OptionSource = { label: ({ name }) => `${path}: ${name}`, value: ({ name }) => file[name] }
  // A file can't name another one in its place.
  const known = Object.keys(settings).filter(name => name !== 'config')
  problems.push(...unknownKeys(path, Object.keys(file), [...known, 'models', 'operators', 'search']))
  problems.push(...unknownVariables(environment))
  const models = parseModels(path, file.models, problems)
  const search = parseSearch(path, file.search, problems)
  const values = resolveOptions(settings, [fromFlags, fixed(own), fromEnvironment, fromFile], problems)
  const recipe = values.recipe === undefined ? null : recipes[values.recipe]
  const byOperator = parseOperators(path, file.operators, recipe, problems)
  // A value that was refused stands at its default: what goes with it can't be told.
  if (problems.length === 0) problems.push(...kafkaProblems(values, environment))
  const parsed = { models: deepFreeze(models), operators: deepFreeze(byOperator), search: deepFreeze(search) }
  const config = { settings: values, ...parsed, environment }
  return { config: Object.freeze(config), problems: [...new Set(problems)] }
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner)
  return Object.freeze(value)
}

/** Null stands for "not set" and must not fall through to the next source. */
function fixed(own: Readonly<Record<string, string | null | undefined>>): OptionSource {
  return { label: ({ flag }) => flag, value: ({ name }) => own[name] }
}

function readConfigFile(path: string, isNamed: boolean, problems: string[]): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (!isNamed && (cause as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new SituError('INPUT_UNREADABLE', `configuration file ${path}: ${messageOf(cause)}`, { cause })
  }
  try {
    const value: unknown = parseYaml(text) ?? {}
    if (isObject(value)) return value
    problems.push(`${path}: holds ${Array.isArray(value) ? 'a list' : typeof value}, not keys with values`)
  } catch (cause) {
    problems.push(`${path}: ${messageOf(cause).split('\n')[0]?.replace(/:$/, '')}`)
  }
  return {}
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Every variable of the environment that Situ reads under its own name. */
export function knownVariables(): string[] {
  return [
    ...Object.entries(settings).map(([name, schema]) => describeOption(name, schema).variable),
    ...Object.values(secretVariables),
  ]
}

function unknownVariables(environment: NodeJS.ProcessEnv): string[] {
  const known = knownVariables()
  return Object.keys(environment)
    .filter(name => name.startsWith('SITU_') && !known.includes(name))
    .map(name => `environment: unknown variable ${name}${closestName(name, known)}`)
}

function parseModels(path: string, value: unknown, problems: string[]): Record<string, Endpoint> {
  const models: Record<string, Endpoint> = {}
  if (value === undefined) return models
  if (!isObject(value)) {
    problems.push(`${path}: models: expected names with settings`)
    return models
  }
  for (const [name, given] of Object.entries(value)) {
    if (name === 'stand-in') problems.push(`${path}: models.stand-in: this name is taken by the built-in stand-in`)
    const endpoint = parseStrict(endpointSchema, given, `${path}: models.${name}`, problems)
    if (endpoint) models[name] = endpoint
  }
  for (const [name, { failover }] of Object.entries(models)) {
    const problem = failover === undefined ? null : failoverProblem(name, failover, models)
    if (problem) problems.push(`${path}: models.${name}.failover: ${failover} ${problem}`)
  }
  return models
}

function failoverProblem(name: string, failover: string, models: Readonly<Record<string, Endpoint>>): string | null {
  if (failover === name) return 'is the model itself'
  const other = Object.hasOwn(models, failover) ? models[failover] : undefined
  if (!other) return `is no model${closestName(failover, Object.keys(models))}`
  const kind = models[name]?.kind
  return other.kind === kind ? null : `is of kind ${other.kind}, not ${kind}`
}

function parseOperators(
  path: string,
  value: unknown,
  recipe: Recipe | null,
  problems: string[],
): Record<string, OperatorConfig> {
  const given = isObject(value) ? value : {}
  if (value !== undefined && !isObject(value)) problems.push(`${path}: operators: expected names with options`)
  problems.push(...unknownKeys(`${path}: operators`, Object.keys(given), Object.keys(operators)))
  const parsed: Record<string, OperatorConfig> = {}
  for (const [name, operator] of Object.entries(operators)) {
    const where = `${path}: operators.${name}`
    if (given[name] != null && !isObject(given[name])) problems.push(`${where}: expected options with values`)
    const { model, prompt, cache, enabled, ...own } = isObject(given[name]) ? given[name] : {}
    const keys = parseStrict(z.strictObject(operatorKeys), { model, prompt, cache, enabled }, where, problems)
    if (enabled === false && !operator.optional) problems.push(`${where}.enabled: ${name} is always in the chain`)
    const all = { ...recipe?.options[name as OperatorName], ...own }
    const options = parseStrict(operator.options as z.ZodType<Record<string, unknown>>, all, where, problems)
    parsed[name] = {
      model: keys?.model,
      prompt: keys?.prompt,
      cache: keys?.cache ?? true,
      enabled: keys?.enabled ?? recipe?.operators.includes(name as OperatorName) ?? false,
      options: options ?? {},
    }
  }
  return parsed
}

function parseSearch(path: string, value: unknown, problems: string[]): SearchSettings {
  const given = value === undefined ? { kind: 'full-text' } : value
  return parseStrict(searchSettings, given, `${path}: search`, problems) ?? { kind: 'full-text' }
}

function parseStrict<T>(schema: z.ZodType<T>, value: unknown, where: string, problems: string[]): T | null {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
  for (const issue of parsed.error.issues) {
    if (issue.code === 'unrecognized_keys') problems.push(...unknownKeys(where, issue.keys, known))
    else problems.push(`${[where, ...issue.path].join('.')}: ${issue.message.replace(/^Invalid input: /, '')}`)
  }
  return null
}

/** A copy with some settings replaced, for a command that brings its own. */
export function withSettings(config: Config, changed: Partial<Config['settings']>): Config {
  return Object.freeze({ ...config, settings: Object.freeze({ ...config.settings, ...changed }) })
}

/** What opens the store of paid replies, rates and sums. */
export function spendingConnection({ settings, environment }: Config) {
  const { data, spending, prefix } = settings
  return { data, spending, password: environment[secretVariables.spending], prefix }
}
